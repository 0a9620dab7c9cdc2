/* The Rust side of src/text/: Jinja chat templates by minijinja, constrained decoding by
 * llguidance. Strings are UTF-8 with a length and may hold NUL bytes.
 * No panic crosses this border. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by whoever it was given to, who gives it back with text_bridge_string_free. Before that data is never NULL. */
typedef struct TextBridgeString {
  char* data;
  size_t length;
} TextBridgeString;

void text_bridge_string_free(TextBridgeString string);

/* What compiling needs of the stack. Of a template of the largest size allowed minijinja compiles and frees `a|b|c…`
 * recursively; llguidance follows the rules of a grammar into each other, 3 KB for each, as many as 256 KB of text
 * hold. */
#define TEXT_BRIDGE_COMPILE_STACK ((size_t)256 << 20)

typedef struct TextBridgeTemplate TextBridgeTemplate;

/* Compiles a chat template, on a stack of TEXT_BRIDGE_COMPILE_STACK. The result may be used by several threads at once.
 * NULL: *error says why. */
TextBridgeTemplate* text_bridge_template_new(const char* source, size_t length, TextBridgeString* error);
void text_bridge_template_free(TextBridgeTemplate* chat_template);

/* context: a JSON object of the template's variables. fuel: instructions it may run, so that a loop without end is an
 * error. Returns 1 with the text in *result, or 0 with the reason there. */
int text_bridge_template_render(const TextBridgeTemplate* chat_template, const char* context, size_t length,
                                uint64_t fuel, TextBridgeString* result);

/* A vocabulary as grammars need it, built once; matchers of any grammar are made from it. Several threads may use it at
 * once. */
typedef struct TextBridgeGrammars TextBridgeGrammars;

/* Token i has lengths[i] bytes, which follow those of token i - 1. Control tokens begin with the byte 0xFF and then
 * have their name; tokens that never occur have no bytes. encode: text that is UTF-8 → ids, at most `capacity` of them,
 * and how many; several threads call it while grammars or matchers live. */
typedef struct TextBridgeVocabulary {
  const uint8_t* bytes;
  const uint32_t* lengths;
  size_t num_tokens;
  const uint32_t* eos_ids; /* at least one */
  size_t num_eos_ids;
  size_t (*encode)(const void* context, const char* text, size_t length, uint32_t* ids, size_t capacity);
  const void* context;
} TextBridgeVocabulary;

/* NULL: *error says why, here and below. */
TextBridgeGrammars* text_bridge_grammars_new(const TextBridgeVocabulary* vocabulary, TextBridgeString* error);
void text_bridge_grammars_free(TextBridgeGrammars* grammars);

enum { TEXT_BRIDGE_JSON_SCHEMA, TEXT_BRIDGE_REGEX, TEXT_BRIDGE_CHOICE, TEXT_BRIDGE_LARK };

/* Where one text stands in its grammar; used by one thread at a time. text: a JSON schema, a regular expression, a JSON
 * list of strings, or a grammar in llguidance's Lark dialect or llama.cpp's GBNF. */
typedef struct TextBridgeMatcher TextBridgeMatcher;

/* On a stack of TEXT_BRIDGE_COMPILE_STACK. */
TextBridgeMatcher* text_bridge_matcher_new(const TextBridgeGrammars* grammars, uint32_t kind, const char* text,
                                           size_t length, TextBridgeString* error);
TextBridgeMatcher* text_bridge_matcher_clone(const TextBridgeMatcher* matcher, TextBridgeString* error);
void text_bridge_matcher_free(TextBridgeMatcher* matcher);

/* Bit i % 32 of words[i / 32]: token i may come next. Returns 1, or 0 with the reason in *error, here and below. */
int text_bridge_matcher_mask(TextBridgeMatcher* matcher, uint32_t* words, size_t num_words, TextBridgeString* error);
int text_bridge_matcher_accept(TextBridgeMatcher* matcher, uint32_t token, TextBridgeString* error);
/* The tokens that must come next, if there are any; they are accepted at the same time. */
int text_bridge_matcher_take_forced(TextBridgeMatcher* matcher, uint32_t* ids, size_t capacity, size_t* num_ids,
                                    TextBridgeString* error);
/* The text is whole: nothing may follow. */
int text_bridge_matcher_is_complete(const TextBridgeMatcher* matcher);

#ifdef __cplusplus
}
#endif
