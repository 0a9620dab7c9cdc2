#include <array>

#include "text/chat_template.h"

namespace retort {
namespace {

struct Builtin {
  std::string_view name;
  const char* source;
};

// A message that only calls tools has no content.
constexpr std::array kBuiltins = {
    Builtin{"chatml", R"({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + (message.content or '') + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif -%})"},
    Builtin{"llama3", R"({{- bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + (message.content or '') | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif -%})"},
    // What stood before </think> in earlier answers is left out, as DeepSeek's own template does.
    Builtin{"deepseek-r1", R"({{- bos_token }}
{%- for message in messages -%}
{%- set content = message.content or '' -%}
{%- if message.role == 'system' %}{{ content }}
{%- elif message.role == 'user' %}{{ '<｜User｜>' + content }}
{%- else %}{{ '<｜Assistant｜>' + content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif -%})"},
};

}  // namespace

const char* builtin_chat_template(std::string_view name) {
  for (const auto& builtin : kBuiltins)
    if (builtin.name == name) return builtin.source;
  return nullptr;
}

}  // namespace retort
