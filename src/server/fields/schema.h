// JSON schemas of what fields take. They are advertised in the OpenAPI document and must say neither more nor less than
// the functions that read the values. Pure functions; any thread.
#pragma once

#include <initializer_list>
#include <string_view>

#include "text/chat_template.h"

namespace retort {

// The same, or null: everywhere that stands for "not given".
Json or_null(Json schema);
Json described(Json schema, std::string_view doc);

Json type_schema(std::string_view type);
Json words_schema(std::initializer_list<const char*> words);  // one of them
Json text_schema();                                           // a string
Json text_not_empty_schema();
Json list_schema(Json items, size_t min_items = 0, size_t max_items = 0);  // max 0: no limit
Json any_of(std::initializer_list<Json> schemas);
Json token_id_schema();
// A string, a list of strings, a list of token ids, or a list of such lists.
Json prompts_schema(size_t max_prompts);

}  // namespace retort
