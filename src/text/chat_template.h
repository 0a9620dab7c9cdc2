// A model's Jinja chat template, rendered by minijinja exactly as Python's jinja2 set up by transformers does. Any
// thread may use it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace retort {

using Json = nlohmann::ordered_json;

struct ChatTemplateInput {
  // OpenAI shape; content parts are flattened before rendering, tool-call arguments parsed unless the template wants
  // their text, and content that is null made "" unless the template asks whether it is none.
  Json messages = Json::array();
  Json tools;                    // null or an array
  Json kwargs = Json::object();  // chat_template_kwargs, e.g. enable_thinking
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the last message is not closed, the model goes on with it
};

class ChatTemplate {
 public:
  // Error kBadInput with line and reason when the source does not compile.
  static Result<ChatTemplate> compile(std::string_view source, std::string_view bos_token, std::string_view eos_token);
  // Another, with the same tokens.
  Result<ChatTemplate> with_source(std::string_view source) const;
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // kBadInput with line and reason: the template raised an exception or refused the conversation; bounded in time.
  Result<std::string> render(const ChatTemplateInput& input) const;
  const std::string& source() const;
  bool supports_tools() const;  // the source mentions `tools`

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Templates of well-known families, for model files that carry none: "chatml", "llama3", "deepseek-r1". Null when
// unknown.
const char* builtin_chat_template(std::string_view name);

}  // namespace retort
