#include "server/openai/prompt.h"

#include <algorithm>

#include "server/openai/prompt_habits.h"

namespace retort::openai {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
constexpr float kReasoningTemperature = 0.6f, kReasoningTopP = 0.95f;  // the R1 models' own recommendation

bool ends_with_tag(std::string_view prompt, std::string_view tag) {
  return prompt.substr(0, prompt.find_last_not_of(" \t\r\n") + 1).ends_with(tag);
}

// Of an assistant's message that the model goes on with.
bool is_inside_reasoning(const Json& message) {
  if (!message["content"].is_string()) return false;
  const std::string& text = message["content"].get_ref<const std::string&>();
  const size_t open = text.rfind(kThink), close = text.rfind(kThinkEnd);
  return open != std::string::npos && (close == std::string::npos || close < open);
}

template <class T>
std::optional<T> first_of(const std::optional<T>& asked, const std::optional<T>& of_model) {
  return asked ? asked : of_model;
}

ApiStatus check_token_ids(const ServedModel& model, const std::vector<TokenId>& ids, std::string_view name) {
  const int32_t size = model.tokenizer->vocab_size();
  for (const TokenId id : ids)
    if (id < 0 || id >= size) return expected(name, fmt::format("token ids below {}", size), id);
  return {};
}

// Tokenising takes time that grows with the text, whether or not it would fit the context.
ApiStatus check_length(const ServedModel& model, std::string_view text) {
  const auto is_first_byte = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  const auto size = static_cast<size_t>(std::count_if(text.begin(), text.end(), is_first_byte));
  if (size <= model.max_prompt_chars) return {};
  return refuse(400,
                fmt::format("the prompt has {} characters; this server takes at most {} (--max-prompt-chars)", size,
                            model.max_prompt_chars),
                {}, "context_length_exceeded");
}

std::vector<TokenId> encode_text(const ServedModel& model, std::string_view text, bool add_special_tokens) {
  return model.tokenizer->encode(text, {.add_special = add_special_tokens, .parse_special = true});
}

// As vLLM: a word is bad at the start of a text and after a space.
void add_bad_word(const Tokenizer& tokenizer, std::string_view word, std::vector<std::vector<TokenId>>& bad_words) {
  const EncodeOptions options{.add_special = false, .parse_special = false};
  const auto bare = tokenizer.encode(word, options), after_space = tokenizer.encode(fmt::format(" {}", word), options);
  if (!bare.empty()) bad_words.push_back(bare);
  if (after_space != bare && !after_space.empty()) bad_words.push_back(after_space);
}

void set_choice_params(const ServedModel& model, const GenerateRequest& request, SamplingParams& params) {
  const ModelConfig& config = model.config;
  params.temperature =
      first_of(request.temperature, config.temperature).value_or(model.is_reasoning ? kReasoningTemperature : 1.0f);
  params.top_p = first_of(request.top_p, config.top_p).value_or(model.is_reasoning ? kReasoningTopP : 1.0f);
  params.top_k = std::max(0, first_of(request.top_k, config.top_k).value_or(0));
  params.min_p = first_of(request.min_p, config.min_p).value_or(0.0f);
  params.repetition_penalty = first_of(request.repetition_penalty, config.repetition_penalty).value_or(1.0f);
  params.typical_p = request.typical_p.value_or(1.0f);
  params.frequency_penalty = request.frequency_penalty.value_or(0.0f);
  params.presence_penalty = request.presence_penalty.value_or(0.0f);
  params.logit_bias = request.logit_bias;
  if (request.seed) params.seed = static_cast<uint64_t>(*request.seed);
  params.allowed_token_ids = request.allowed_token_ids;
  for (const std::string& word : request.bad_words) add_bad_word(*model.tokenizer, word, params.bad_words);
}

}  // namespace

void offer_tools(const ServedModel& model, const ToolUse& use, ChatTemplateInput& input) {
  if (model.spells_tools)
    spell_tools(model.tool_format, use, input.messages);
  else
    input.tools = tools_for_template(use);
}

ApiResult<ChatPrompt> build_chat_prompt(const ServedModel& model, ChatTemplateInput input, bool add_special_tokens) {
  if (model.chat_template == nullptr)
    return refuse(400,
                  fmt::format("the model '{}' {}; use /v1/completions, or serve it with --chat-template", model.id,
                              model.chat_fault),
                  "messages");
  apply_habits(model.habits, input.messages);
  const bool thinking_is_off = input.kwargs.value("enable_thinking", Json()) == Json(false);
  const bool continues_reasoning = input.continue_final_message && is_inside_reasoning(input.messages.back());
  const bool has_marked_tools = model.control_tokens.mark(input.tools);
  const bool is_marked = model.control_tokens.mark(input.messages) || has_marked_tools;
  Result<std::string> rendered = model.chat_template->render(input);
  if (!rendered) return tl::unexpected<ApiError>(to_api_error(rendered.error()));

  ChatPrompt prompt;
  prompt.starts_inside_reasoning = continues_reasoning || ends_with_tag(*rendered, kThink);
  const bool thinking_is_closed = ends_with_tag(*rendered, kThinkEnd);
  if (model.force_thinking && input.add_generation_prompt && !prompt.starts_inside_reasoning && !thinking_is_off &&
      !thinking_is_closed) {
    *rendered += "<think>\n";
    prompt.starts_inside_reasoning = true;
  }
  prompt.may_open_reasoning = model.is_reasoning && !thinking_is_off && !prompt.starts_inside_reasoning &&
                              input.add_generation_prompt && !thinking_is_closed;
  RETORT_API_TRY(check_length(model, *rendered));
  prompt.tokens = is_marked ? ControlTokens::encode_marked(*model.tokenizer, *rendered, add_special_tokens)
                            : encode_text(model, *rendered, add_special_tokens);
  return prompt;
}

ApiResult<std::vector<TokenId>> encode_raw_prompt(const ServedModel& model, std::string_view text,
                                                  bool add_special_tokens) {
  RETORT_API_TRY(check_length(model, text));
  return encode_text(model, text, add_special_tokens);
}

ApiStatus fit_prompt(const ServedModel& model, const GenerateRequest& request, std::vector<TokenId>& tokens) {
  if (request.truncate_prompt_tokens) {
    const int64_t room = std::max<int64_t>(0, model.max_model_len - std::max(1, request.max_tokens.value_or(1)));
    const int64_t asked = *request.truncate_prompt_tokens;
    const size_t keep = static_cast<size_t>(asked < 0 ? room : asked);
    if (tokens.size() > keep) tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(keep));
  }
  if (tokens.empty()) return refuse(400, "the prompt is empty");
  RETORT_API_TRY(check_token_ids(model, tokens, "prompt"));
  const auto size = static_cast<int64_t>(tokens.size());
  if (size < model.max_model_len) return {};
  return refuse(
      400,
      fmt::format("This model's maximum context length is {} tokens; the prompt has {}{}", model.max_model_len, size,
                  size == model.max_model_len ? ", which leaves none for the answer" : ""),
      {}, "context_length_exceeded");
}

ApiResult<SamplingParams> sampling_params(const ServedModel& model, const GenerateRequest& request,
                                          size_t num_prompt_tokens) {
  RETORT_API_TRY(check_token_ids(model, request.stop_token_ids, "stop_token_ids"));
  RETORT_API_TRY(check_token_ids(model, request.allowed_token_ids, "allowed_token_ids"));
  for (const auto& [id, bias] : request.logit_bias) RETORT_API_TRY(check_token_ids(model, {id}, "logit_bias"));

  SamplingParams params;
  set_choice_params(model, request, params);
  const auto room = static_cast<int>(model.max_model_len - static_cast<int64_t>(num_prompt_tokens));
  params.max_tokens = std::max(1, std::min(room, request.max_tokens.value_or(room)));
  params.min_tokens = std::min(request.min_tokens, params.max_tokens);
  params.stop_token_ids = request.stop_token_ids;
  params.ignore_eos = request.ignore_eos;
  params.repetition = request.repetition_detection;
  params.prompt_logprobs = request.prompt_logprobs;
  return params;
}

}  // namespace retort::openai
