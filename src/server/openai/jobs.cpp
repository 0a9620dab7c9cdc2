#include "server/openai/jobs.h"

#include <algorithm>

#include "server/answer_constraint.h"
#include "server/fields/json_input.h"
#include "server/openai/request_template.h"

namespace retort::openai {
namespace {

// With echo the answer begins with the last message when that is the assistant's too.
std::string echo_of(const ChatRequest& request) {
  const Json& last = request.messages.back();
  return request.echo && last["role"] == "assistant" && last["content"].is_string() ? last["content"].get<std::string>()
                                                                                    : "";
}

ApiResult<int> num_samples(const ServedModel& model, const GenerateRequest& request) {
  const int n = request.consensus ? request.consensus->n : request.n;
  const int most = model.engine->config().max_num_seqs;
  if (n <= most) return n;
  const std::string field = request.consensus ? "consensus.n" : "n";
  return refuse(400,
                fmt::format("{}: expected at most {}, what this server generates at once (--max-num-seqs), got {}",
                            field, most, n),
                field);
}

ApiResult<EngineRequest> engine_request(const ServedModel& model, const GenerateRequest& request,
                                        std::vector<TokenId> prompt, SamplingParams params) {
  RETORT_API_ASSIGN(const int n, num_samples(model, request));
  return EngineRequest{.prompt = std::move(prompt),
                       .params = std::move(params),
                       .num_samples = n,
                       .priority = request.priority,
                       .deadline = {},
                       .constraint = {},
                       .cache_salt = request.cache_salt,
                       .on_event = {}};
}

SampleOptions sample_options(const GenerateRequest& request, bool with_logprobs) {
  return {.stop = request.stop,
          .stop_token_ids = request.stop_token_ids,
          .min_tokens = request.min_tokens,
          .include_stop = request.include_stop_str_in_output,
          .skip_special_tokens = request.skip_special_tokens,
          .keeps_tokens = with_logprobs || request.return_token_ids};
}

ApiResult<std::optional<GrammarMatcher>> compile_grammar(const ServedModel& model,
                                                         const std::optional<GrammarText>& grammar) {
  if (!grammar) return std::nullopt;
  auto matcher = model.grammars->compile(grammar->kind, grammar->text);
  if (matcher) return std::move(*matcher);
  ApiError error = to_api_error(matcher.error());
  error.message.insert(0, grammar->field + ": ");
  error.param = grammar->field;
  return tl::unexpected<ApiError>(std::move(error));
}

// Null when nothing binds the answer.
ApiResult<std::shared_ptr<const TokenConstraint>> constraint_of(const ServedModel& model,
                                                                const std::optional<GrammarText>& grammar,
                                                                AnswerRules rules) {
  RETORT_API_ASSIGN(rules.grammar, compile_grammar(model, grammar));
  if (!rules.grammar && !rules.calls && !rules.thinking_budget) return nullptr;
  return constrain_answer(std::move(rules));
}

// A named choice asks for that one call, as vLLM and OpenAI have it.
bool allows_many_calls(const ToolUse& use) { return use.parallel && use.choice != ToolChoice::kNamed; }

// `is_bound`: every call that stands in the grammar's form is held to it.
OfferedTools offered_tools(const ServedModel& model, const ChatRequest& request, bool is_bound) {
  const ToolUse& use = request.tool_use;
  auto names = std::make_shared<std::vector<std::string>>();
  for (const Tool* tool : callable_tools(use)) names->push_back(tool->name);
  const bool in_pieces = request.stream && request.takes_parts_of_calls;
  return {.format = model.tool_format,
          .names = std::move(names),
          .is_one_call_enough = !allows_many_calls(use),
          .binding = !is_bound   ? CallBinding::kNone
                     : in_pieces ? CallBinding::kPieces
                                 : CallBinding::kWhole,
          .must_call = use.must_call()};
}

// Each schema by itself, so that the message can name the one at fault.
ApiStatus check_parameters(const ServedModel& model, const std::vector<const Tool*>& tools, bool all) {
  for (const Tool* tool : tools) {
    if (!all && !tool->strict) continue;
    const GrammarText schema{GrammarKind::kJsonSchema, dump_json(arguments_schema(*tool)), schema_path(*tool)};
    RETORT_API_TRY(compile_grammar(model, schema));
  }
  return {};
}

// What the answer must be: the form that was asked for, calls that were demanded, or either of them.
ApiResult<std::optional<GrammarText>> answer_grammar(const ServedModel& model, const ChatRequest& request) {
  const ToolUse& use = request.tool_use;
  if (!use.are_offered()) return request.grammar;
  const std::vector<const Tool*> tools = callable_tools(use);
  const bool binds = use.must_call() || request.grammar;
  RETORT_API_TRY(check_parameters(model, tools, binds));
  if (!binds) return std::nullopt;
  if (!use.must_call() && request.grammar->kind != GrammarKind::kJsonSchema)
    return refuse(400,
                  fmt::format("{}: cannot be used together with tools, unless tool_choice is none; JSON can",
                              request.grammar->field),
                  request.grammar->field);
  std::vector<ToolSignature> signatures;
  for (const Tool* tool : tools) signatures.push_back({tool->name, dump_json(arguments_schema(*tool))});
  std::optional<std::string_view> answer_schema;
  if (!use.must_call()) answer_schema = request.grammar->text;
  return GrammarText{GrammarKind::kLark,
                     tool_calls_grammar(model.tool_format, signatures, allows_many_calls(use), answer_schema),
                     use.must_call() ? "tool_choice" : request.grammar->field};
}

// Where the model itself decides to call a strict tool, the call is held to its schema; its name to those offered.
ApiResult<std::optional<CallBinder>> call_binder(const ServedModel& model, const ChatRequest& request) {
  const ToolUse& use = request.tool_use;
  const auto mark = call_mark(model.tool_format);
  const bool is_any_strict = std::ranges::any_of(use.tools, &Tool::strict);
  if (!mark || !is_any_strict || use.choice != ToolChoice::kAuto || request.grammar) return std::nullopt;
  std::vector<ToolSignature> signatures;
  for (const Tool& tool : use.tools)
    signatures.push_back({tool.name, tool.strict ? dump_json(arguments_schema(tool)) : R"({"type": "object"})"});
  RETORT_API_ASSIGN(auto call,
                    compile_grammar(model, GrammarText{GrammarKind::kLark,
                                                       marked_call_grammar(model.tool_format, signatures), "tools"}));
  return CallBinder(*model.tokenizer, *mark, std::move(*call));
}

ApiResult<EngineRequest> of_prompt(const ServedModel& model, const CompletionRequest& request,
                                   std::vector<TokenId> prompt) {
  RETORT_API_TRY(fit_prompt(model, request, prompt));
  RETORT_API_ASSIGN(SamplingParams params, sampling_params(model, request, prompt.size()));
  params.logprobs = request.logprobs;
  if (request.consensus && !params.logprobs) params.logprobs = 0;  // chooses among the samples that agree
  if (request.echo && request.logprobs && !params.prompt_logprobs) params.prompt_logprobs = request.logprobs;
  return engine_request(model, request, std::move(prompt), std::move(params));
}

ApiResult<ChatPrompt> render_chat(const ServedModel& model, const ChatRequest& request) {
  ChatTemplateInput input{
      .messages = request.messages,
      .tools = {},
      .kwargs = request.chat_template_kwargs,
      .add_generation_prompt = request.add_generation_prompt.value_or(!request.continue_final_message),
      .continue_final_message = request.continue_final_message};
  offer_tools(model, request.tool_use, input);
  return build_chat_prompt(model, std::move(input), request.add_special_tokens.value_or(false));
}

}  // namespace

ApiResult<ChatPrompt> chat_prompt(const ServedModel& model, const ChatRequest& request) {
  if (request.chat_template.empty()) return render_chat(model, request);
  RETORT_API_ASSIGN(const OwnTemplate own, use_template(model, request.chat_template));
  return render_chat(own.model, request);
}

ApiResult<Job> chat_job(const ServedModel& model, const ChatRequest& request) {
  RETORT_API_ASSIGN(ChatPrompt prompt, chat_prompt(model, request));
  RETORT_API_TRY(fit_prompt(model, request, prompt.tokens));
  RETORT_API_ASSIGN(SamplingParams params, sampling_params(model, request, prompt.tokens.size()));
  if (request.logprobs) params.logprobs = request.top_logprobs;
  if (request.consensus && !params.logprobs) params.logprobs = 0;  // chooses among the samples that agree

  SampleOptions options = sample_options(request, request.logprobs);
  options.splits_reasoning = true;
  options.starts_inside_reasoning = prompt.starts_inside_reasoning;
  RETORT_API_ASSIGN(const auto grammar, answer_grammar(model, request));
  RETORT_API_ASSIGN(auto calls, call_binder(model, request));
  if (request.tool_use.are_offered())
    options.tools = offered_tools(model, request, request.tool_use.must_call() || calls);
  const bool may_think = prompt.starts_inside_reasoning || prompt.may_open_reasoning;
  if (request.needs_thinking && !may_think && !model.is_reasoning)
    return refuse(400, fmt::format("thinking_token_budget: the model '{}' does not think", model.id),
                  "thinking_token_budget", "unsupported_parameter");
  RETORT_API_ASSIGN(auto constraint,
                    constraint_of(model, grammar,
                                  {.tokenizer = model.tokenizer,
                                   .grammar = {},
                                   .calls = std::move(calls),
                                   .takes_forced_tokens = !request.logprobs,
                                   .starts_inside_reasoning = prompt.starts_inside_reasoning,
                                   .may_open_reasoning = prompt.may_open_reasoning,
                                   .thinking_budget = may_think ? request.thinking_token_budget : std::nullopt,
                                   .end_of_thinking = model.tokenizer->encode(
                                       "\n</think>\n\n", {.add_special = false, .parse_special = true})}));
  RETORT_API_ASSIGN(EngineRequest asked, engine_request(model, request, std::move(prompt.tokens), std::move(params)));
  asked.constraint = std::move(constraint);
  Job job;
  job.sample_options.push_back(std::move(options));
  job.echoes.push_back(echo_of(request));
  job.requests.push_back(std::move(asked));
  return job;
}

ApiResult<Job> completion_job(const ServedModel& model, const CompletionRequest& request) {
  RETORT_API_ASSIGN(
      const auto constraint,
      constraint_of(model, request.grammar,
                    {.tokenizer = model.tokenizer, .grammar = {}, .takes_forced_tokens = !request.logprobs}));
  Job job;
  for (const RawPrompt& raw : request.prompts) {
    const auto* text = std::get_if<std::string>(&raw);
    std::vector<TokenId> tokens;
    if (text != nullptr) {
      RETORT_API_ASSIGN(tokens, encode_raw_prompt(model, *text, request.add_special_tokens.value_or(true)));
    } else {
      tokens = std::get<std::vector<TokenId>>(raw);
    }
    RETORT_API_ASSIGN(EngineRequest asked, of_prompt(model, request, std::move(tokens)));
    const bool is_whole_text = text != nullptr && !request.truncate_prompt_tokens;
    job.echoes.push_back(!request.echo   ? ""
                         : is_whole_text ? *text
                                         : model.tokenizer->decode(asked.prompt, request.skip_special_tokens));
    asked.constraint = constraint;
    job.requests.push_back(std::move(asked));
    job.sample_options.push_back(sample_options(request, request.logprobs.has_value()));
    job.sample_options.back().drops_output = request.max_tokens == 0;
  }
  return job;
}

}  // namespace retort::openai
