#include <array>

#include "text/chat_template.h"

namespace retort {
namespace {

struct Builtin {
  std::string_view name;
  const char* source;
};

constexpr std::array kBuiltins = {
    Builtin{"chatml",
            "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' "
            "}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    Builtin{"llama3",
            "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + "
            "'<|end_header_id|>\\n\\n' + "
            "message.content | trim + '<|eot_id|>' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    // What stood before </think> in earlier answers is left out, as DeepSeek's own template does.
    Builtin{"deepseek-r1",
            "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}"
            "{% elif message.role == 'user' %}{{ '<｜User｜>' + message.content }}"
            "{% else %}{{ '<｜Assistant｜>' + message.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% "
            "endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"},
};

}  // namespace

const char* builtin_chat_template(std::string_view name) {
  for (const auto& builtin : kBuiltins)
    if (builtin.name == name) return builtin.source;
  return nullptr;
}

}  // namespace retort
