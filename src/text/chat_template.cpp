#include "text/chat_template.h"

#include <text_bridge.h>

#include <algorithm>

#include "base/large_stack.h"

namespace retort {
namespace {

// Instructions the template engine may run: known templates need up to 5 for a byte of the conversation, one of them
// more in long ones. Little fuel also bounds how deep a template nests values, which costs stack when they are freed.
uint64_t fuel_for(size_t context_bytes) { return 500'000 + 20 * std::min<uint64_t>(context_bytes, 1'000'000); }

struct FreeTemplate {
  void operator()(TextBridgeTemplate* chat_template) const { text_bridge_template_free(chat_template); }
};

std::string take(TextBridgeString string) {
  std::string text(string.data, string.length);
  text_bridge_string_free(string);
  return text;
}

tl::unexpected<Error> template_error(TextBridgeString message) {
  return fail(ErrorKind::kBadInput, "[chat template] {}", take(message));
}

// Text parts of a message's content, a line each; other kinds of parts are the caller's to refuse.
std::string flatten(const Json& parts) {
  std::string text;
  for (const auto& part : parts) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) continue;
    if (!text.empty()) text += '\n';
    text += part["text"].get<std::string>();
  }
  return text;
}

// Most templates expect the arguments of a call as an object; those of DeepSeek join them to text as they are.
enum class Arguments { kObject, kText };

// The API carries them in either form.
void shape_arguments(Json& tool_call, Arguments form) {
  if (!tool_call.is_object() || !tool_call.contains("function") || !tool_call["function"].is_object()) return;
  auto& function = tool_call["function"];
  if (!function.contains("arguments")) return;
  Json& arguments = function["arguments"];
  if (form == Arguments::kText) {
    if (!arguments.is_string()) arguments = arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
  } else if (arguments.is_string()) {
    auto parsed = Json::parse(arguments.get<std::string>(), nullptr, false);
    if (!parsed.is_discarded()) arguments = std::move(parsed);
  }
}

bool has_calls(const Json& messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [](const Json& message) { return message.is_object() && message.contains("tool_calls"); });
}

struct Shape {
  Arguments arguments = Arguments::kObject;
  bool keeps_none = false;  // content that is null, as beside tool calls, stays so
};

Json for_template(const Json& message, const Shape& shape) {
  Json out = message;
  if (!out.is_object()) return out;
  for (auto it = out.begin(); it != out.end();) {
    // A key that is null is a key not given: templates ask `is defined`.
    if (it->is_null() && it.key() != "content")
      it = out.erase(it);
    else
      ++it;
  }
  if (out.contains("content") && out["content"].is_array()) out["content"] = flatten(out["content"]);
  if (out.contains("content") && out["content"].is_null() && !shape.keeps_none) out["content"] = "";
  if (out.contains("tool_calls") && out["tool_calls"].is_array())
    for (auto& call : out["tool_calls"]) shape_arguments(call, shape.arguments);
  return out;
}

std::string_view trimmed_left(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n\r\f\v");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

std::string_view trimmed(std::string_view text) {
  text = trimmed_left(text);
  const size_t last = text.find_last_not_of(" \t\n\r\f\v");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Cuts what the template wrote after the final message, as transformers' apply_chat_template does.
Result<std::string> cut_after_final_message(std::string rendered, const Json& messages) {
  const Json& last = messages.back();
  const std::string content = last.is_object() && last.contains("content") && last["content"].is_string()
                                  ? last["content"].get<std::string>()
                                  : std::string();
  const std::string_view core = trimmed(content);
  const size_t at = rendered.rfind(core);
  if (core.empty() || at == std::string::npos)
    return fail(
        ErrorKind::kBadInput,
        "[chat template] continue_final_message: the final message's content does not stand in the rendered prompt");
  const std::string_view with_tail = trimmed_left(content);
  const bool keeps_tail = rendered.compare(at, with_tail.size(), with_tail) == 0;
  rendered.resize(at + (keeps_tail ? with_tail.size() : core.size()));
  return rendered;
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source, bos_token, eos_token;
  std::unique_ptr<TextBridgeTemplate, FreeTemplate> compiled;

  bool asks_for_none = false;  // the source tells content that is none from other content

  Json context(const ChatTemplateInput& input, Arguments form) const;
  Result<std::string> render(const ChatTemplateInput& input, Arguments form) const;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::compile(std::string_view source, std::string_view bos_token,
                                           std::string_view eos_token) {
  TextBridgeString error{};
  auto impl = std::make_unique<Impl>();
  RETORT_TRY(run_with_stack(TEXT_BRIDGE_COMPILE_STACK, [&] {
    impl->compiled.reset(text_bridge_template_new(source.data(), source.size(), &error));
  }));
  if (impl->compiled == nullptr) return template_error(error);
  impl->source = source;
  impl->asks_for_none =
      source.find("is none") != std::string_view::npos || source.find("is not none") != std::string_view::npos;
  impl->bos_token = bos_token;
  impl->eos_token = eos_token;
  return ChatTemplate(std::move(impl));
}

Result<ChatTemplate> ChatTemplate::with_source(std::string_view source) const {
  return compile(source, impl_->bos_token, impl_->eos_token);
}

Json ChatTemplate::Impl::context(const ChatTemplateInput& input, Arguments form) const {
  Json context = Json::object();
  context["messages"] = Json::array();
  for (const auto& message : input.messages)
    context["messages"].push_back(for_template(message, {form, asks_for_none}));
  if (input.tools.is_array() && !input.tools.empty()) context["tools"] = input.tools;
  context["add_generation_prompt"] = input.add_generation_prompt && !input.continue_final_message;
  context["bos_token"] = bos_token;
  context["eos_token"] = eos_token;
  // A request cannot replace what the conversation is made of.
  for (const auto& [key, value] : input.kwargs.items())
    if (!context.contains(key)) context[key] = value;
  return context;
}

Result<std::string> ChatTemplate::Impl::render(const ChatTemplateInput& input, Arguments form) const {
  const Json variables = context(input, form);
  const std::string json = variables.dump(-1, ' ', false, Json::error_handler_t::replace);
  TextBridgeString result{};
  if (text_bridge_template_render(compiled.get(), json.data(), json.size(), fuel_for(json.size()), &result) == 0)
    return template_error(result);
  if (input.continue_final_message) return cut_after_final_message(take(result), variables["messages"]);
  return take(result);
}

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
  if (!input.messages.is_array() || input.messages.empty())
    return fail(ErrorKind::kBadInput, "[chat template] messages: expected at least one");
  auto rendered = impl_->render(input, Arguments::kObject);
  if (rendered || !has_calls(input.messages)) return rendered;
  auto with_text = impl_->render(input, Arguments::kText);
  return with_text ? with_text : rendered;
}

const std::string& ChatTemplate::source() const { return impl_->source; }
bool ChatTemplate::supports_tools() const { return impl_->source.find("tools") != std::string::npos; }

}  // namespace retort
