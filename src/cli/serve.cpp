// retort serve: the OpenAI-compatible server.
#include "server/server.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "base/log.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/model_flags.h"
#include "cli/ranges.h"
#include "cli/terminal.h"
#include "cli/text_file.h"
#include "text/tools/tool_format.h"

namespace retort {
namespace {

struct ServeOptions {
  ModelFlags model;
  ServerConfig server;
  EngineConfig engine;
  std::string config_file, api_key_file, log_level = "info", log_format = "text";
  int header_timeout = 10, idle_timeout = 75, request_timeout = 600, shutdown_timeout = 30;
  int step_timeout = 60, degrade_recovery = 30, schema_timeout_ms = 5000;
  std::string degrade_memory = "90%", degrade_mode = "limit";
  std::string speculative_config;
  // Accepted so that vLLM's command lines work.
  int tensor_parallel_size = 1;
  double gpu_memory_utilization = 0;
  bool enforce_eager = false, chunked_prefill = true, auto_tool_choice = true;
  std::string dtype = "auto", quantization = "auto", reasoning_parser = "auto", generation_config = "auto";
  int block_size = kBlockTokens;
};

void add_listening_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "HTTP";
  auto& server = options.server;
  app.add_option("--host", server.host, "Address to listen on; 0.0.0.0: all, then set --api-key")
      ->check(not_empty("an address"))
      ->capture_default_str()
      ->group(group);
  app.add_option("--port", server.port, "Port to listen on; 0: any free one")
      ->check(between(0, 65535))
      ->capture_default_str()
      ->group(group);
  app.add_option("--uds", server.uds, "A Unix domain socket to listen on, instead of host and port")
      ->check(not_empty("a path"))
      ->group(group);
  app.add_option("--ssl-certfile", server.ssl_certfile, "TLS: the certificate and those it builds on, PEM")
      ->check(not_empty("a file's name"))
      ->group(group);
  app.add_option("--ssl-keyfile", server.ssl_keyfile, "TLS: the certificate's key, PEM")
      ->check(not_empty("a file's name"))
      ->group(group);
  app.add_option("--served-model-name", server.served_model_name, "What requests call the model")
      ->check(not_empty("a name"))
      ->default_str("its name")
      ->group(group);
}

void add_access_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "Who may call";
  auto& server = options.server;
  app.add_option("--api-key", server.api_keys, "Key that requests must bring; repeat for several")
      ->check(not_empty("a key"))
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--api-key-file", options.api_key_file,
                 "Keys from a file, one a line; blank lines and those that begin with # are none")
      ->check(not_empty("a file's name"))
      ->group(group);
  app.add_option("--allowed-origins", server.allowed_origins,
                 "Web pages that may call from a browser (CORS); repeat for several, * for any")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--allowed-hosts", server.allowed_hosts,
                 "Names besides localhost by which requests may call this server; repeat for several")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--enable-admin", server.enable_admin, "POST /reset_prefix_cache and GET /server_info; needs an API key")
      ->group(group);
}

void add_limit_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "HTTP limits";
  auto& server = options.server;
  app.add_option("--max-body-bytes", server.max_body_bytes, "Largest request body")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("16M")
      ->group(group);
  app.add_option("--max-header-bytes", server.max_header_bytes, "Largest request header")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("32K")
      ->group(group);
  app.add_option("--max-json-depth", server.max_json_depth, "Deepest nesting of a request's JSON")
      ->check(between(1, 1000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-prompt-chars", server.max_prompt_chars, "Longest prompt, in characters")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("4M")
      ->group(group);
  app.add_option("--max-schema-bytes", server.max_schema_bytes,
                 "Largest JSON schema, or other grammar, that an answer is held to")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("256K")
      ->group(group);
  app.add_option("--schema-timeout", options.schema_timeout_ms, "Milliseconds for compiling such a schema")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-connections", server.max_connections, "Open connections")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-held-body-bytes", server.max_held_body_bytes,
                 "Bodies of all requests together that are not answered yet")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("256M")
      ->group(group);
  app.add_option("--max-requests-per-key", server.max_requests_per_key,
                 "Requests (POST) of one API key under way at once; 0: as many as come")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
}

void add_time_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "HTTP limits";
  app.add_option("--request-timeout", options.request_timeout, "Seconds from a request to the end of its answer")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--header-timeout", options.header_timeout, "Seconds for a request's header to arrive")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--idle-timeout", options.idle_timeout, "Seconds an idle connection is kept")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--shutdown-timeout", options.shutdown_timeout, "Seconds that running requests get after SIGTERM")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
}

void add_engine_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "Engine";
  auto& engine = options.engine;
  app.add_option("--max-num-seqs", engine.max_num_seqs, "Sequences generated at once")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-num-batched-tokens", engine.max_num_batched_tokens,
                 "Tokens in one step: the length of a piece of a long prompt")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-step-ms", engine.max_step_ms,
                 "Milliseconds a step should take: bounds how long running answers wait for a long prompt; 0: no limit")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  app.add_option(
         "--speculative-config", options.speculative_config,
         "Guessing of tokens that stood in the text before, as JSON in vLLM's form; guesses run where they pay and "
         "never change an answer; {\"method\": \"none\"} turns them off")
      ->default_str(R"({"method": "ngram", "num_speculative_tokens": 7})")
      ->group(group);
  app.add_option("--repetition-guard", engine.repetition_guard,
                 "End an answer whose last tokens, so many, are one pattern 8 times or more; 0: never")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--step-timeout", options.step_timeout, "Seconds in one step after which /health says 503")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-waiting", engine.max_waiting,
                 "Sequences beyond --max-num-seqs that may wait before new ones are told 429")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", engine.enable_prefix_caching,
               "Reuse the keys and values of prompts that begin alike")
      ->default_str("on")
      ->group(group);
}

void add_degrade_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "When it gets too much";
  auto& degrade = options.server.degrade;
  app.add_option("--degrade-memory", options.degrade_memory,
                 "Share of the memory (cgroup's or machine's) in use above which new requests get at most 512 tokens, "
                 "at a temperature of at most 0.3; 100%: no matter how much")
      ->capture_default_str()
      ->group(group);
  app.add_option("--degrade-timeouts", degrade.timeouts,
                 "The same after so many requests in a row that ran out of time; 0: no matter how many")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--degrade-mode", options.degrade_mode, "limit: as said; reject: new requests are told 503")
      ->check(CLI::IsMember({"limit", "reject"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--degrade-recovery", options.degrade_recovery,
                 "Seconds without the cause after which all is as before")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
}

void add_log_flags(CLI::App& app, ServeOptions& options) {
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str()
      ->group("Other");
  app.add_option("--log-format", options.log_format, "text, or json: each line an object")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->group("Other");
  app.add_flag("--enable-log-requests", options.server.logs_requests, "Log the beginning of what each request says")
      ->group("Other");
}

void add_answer_flags(CLI::App& app, ServeOptions& options) {
  app.add_option(
         "--tool-call-parser", options.server.tool_call_parser,
         "The form in which the model calls tools: hermes (Qwen, SmolLM; also called qwen), llama3_json, deepseek "
         "(also deepseek_v3); auto: that of its chat template, and hermes where this knows no tools")
      ->check(CLI::IsMember(kToolFormatNames))
      ->capture_default_str()
      ->group("Model");
  app.add_option(
         "--generation-config", options.generation_config,
         "Sampling where a request does not say: auto: as the model's makers recommend; vllm: plain (temperature "
         "1, no cut-offs)")
      ->check(CLI::IsMember({"auto", "vllm"}))
      ->capture_default_str()
      ->group("Model");
}

void add_prompt_flags(CLI::App& app, ServeOptions& options) {
  auto& server = options.server;
  app.add_flag("--fold-system", server.habits.folds_system,
               "Put the system message before the first user message, as R1 models were trained")
      ->group("Model");
  app.add_flag("--boxed-hint", server.habits.adds_boxed_hint,
               "For mathematics: end each question with a request to reason step by step and to answer in \\boxed{}")
      ->group("Model");
  app.add_flag("--trust-request-chat-template", server.trusts_request_templates,
               "Take the field chat_template from requests; a template can show all that a conversation holds")
      ->group("Model");
}

// "90%".
Result<double> parse_share(std::string_view flag, const std::string& text) {
  double percent = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  const bool is_share = error == std::errc() && std::string_view(end, text.data() + text.size()) == "%";
  if (!is_share || !(percent >= 0 && percent <= 100))
    return fail(ErrorKind::kBadUsage, "[serve] {}: expected a share from 0% to 100%, got '{}'", flag, text);
  return percent / 100;
}

Status check_quantization(const std::string& asked, const std::filesystem::path& model) {
  const char* found = std::filesystem::is_directory(model) ? "none" : "gguf";
  if (asked == "auto" || asked == found) return {};
  return fail(ErrorKind::kBadInput, "[serve] --quantization: expected {} (or auto) for {}, got {}", found,
              model.filename().string(), asked);
}

// What one flag demands of others.
Status check_flags(const ServeOptions& options) {
  const ServerConfig& server = options.server;
  if (!options.chunked_prefill)
    return fail(ErrorKind::kBadUsage,
                "[serve] --no-enable-chunked-prefill: not supported, long prompts are always taken in pieces");
  if (server.enable_admin && server.api_keys.empty())
    return fail(ErrorKind::kBadUsage, "[serve] --enable-admin: expected an --api-key beside it, there is none");
  if (server.max_requests_per_key > 0 && server.api_keys.empty())
    return fail(ErrorKind::kBadUsage, "[serve] --max-requests-per-key: expected an --api-key beside it, there is none");
  if (server.ssl_certfile.empty() != server.ssl_keyfile.empty())
    return fail(ErrorKind::kBadUsage,
                "[serve] --ssl-certfile and --ssl-keyfile: expected both or none, there is only {}",
                server.ssl_keyfile.empty() ? "--ssl-certfile" : "--ssl-keyfile");
  return {};
}

void add_vllm_flags(CLI::App& app, ServeOptions& options) {
  const char* group = "Accepted for vLLM's command lines";
  app.add_flag("--enable-chunked-prefill,!--no-enable-chunked-prefill", options.chunked_prefill,
               "Long prompts are always taken in pieces")
      ->group(group);
  app.add_option("--dtype", options.dtype, "The kernels choose; only auto")
      ->check(CLI::IsMember({"auto"}))
      ->group(group);
  app.add_option("--tensor-parallel-size", options.tensor_parallel_size, "One process uses all cores; only 1")
      ->check(CLI::IsMember(std::set<int>{1}))
      ->group(group);
  app.add_option("--gpu-memory-utilization", options.gpu_memory_utilization, "No GPU here; see --kv-cache-memory")
      ->group(group);
  app.add_option("--block-size", options.block_size, "Tokens in a block of the KV cache; only 32")
      ->check(CLI::IsMember(std::set<int>{kBlockTokens}))
      ->group(group);
  app.add_option("--quantization", options.quantization,
                 "What the file holds is found out; gguf is taken for a GGUF file, none for a folder")
      ->check(CLI::IsMember({"auto", "gguf", "none"}))
      ->group(group);
  app.add_option("--reasoning-parser", options.reasoning_parser,
                 "<think> … </think> is always set apart; deepseek_r1 and qwen3 mean that")
      ->check(CLI::IsMember({"auto", "deepseek_r1", "qwen3"}))
      ->group(group);
  app.add_flag("--enable-auto-tool-choice", options.auto_tool_choice, "Requests with tools are always served")
      ->group(group);
  app.add_flag("--enforce-eager", options.enforce_eager, "No graphs to capture here")->group(group);
}

// As when $KEY is not set where it was to be given: the server would be open to more than was meant.
Status check_variables() {
  for (const char* name :
       {"RETORT_API_KEY", "RETORT_API_KEY_FILE", "RETORT_SSL_CERTFILE", "RETORT_SSL_KEYFILE", "RETORT_UDS"})
    if (const char* value = std::getenv(name); value != nullptr && *value == '\0')
      return fail(ErrorKind::kBadUsage, "[serve] {}: expected a value, it is set to none (unset it to go without)",
                  name);
  return {};
}

Status read_api_keys(ServeOptions& options) {
  if (options.api_key_file.empty()) return {};
  const auto text = read_text_file(options.api_key_file);
  if (!text)
    return fail(text.error().kind, "[serve] --api-key-file {}: {}", options.api_key_file, text.error().message);
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF", kBlanks = " \t\v\f\r";
  std::istringstream lines(text->substr(text->starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0));
  for (std::string key; std::getline(lines, key);) {
    key.erase(0, std::min(key.find_first_not_of(kBlanks), key.size()));
    key.erase(key.find_last_not_of(kBlanks) + 1);
    if (!key.empty() && key.front() != '#') options.server.api_keys.push_back(key);
  }
  if (options.server.api_keys.empty())
    return fail(ErrorKind::kBadInput, "[serve] --api-key-file {}: expected a key a line, found none",
                options.api_key_file);
  return {};
}

void note_accepted_flags(const CLI::App& app) {
  for (const auto* option : app.get_options())
    if (option->get_group() == "Accepted for vLLM's command lines" && option->count() > 0)
      log::info("{} changes nothing: {}", option->get_name(), option->get_description());
}

Result<int> serve(ServeOptions& options, const CLI::App& app) {
  using Seconds = std::chrono::seconds;
  RETORT_TRY(log::init(options.log_level, options.log_format));
  RETORT_TRY(check_variables());
  RETORT_TRY(read_api_keys(options));
  RETORT_TRY(check_flags(options));
  RETORT_ASSIGN(options.server.degrade.memory_share, parse_share("--degrade-memory", options.degrade_memory));
  options.server.degrade.rejects = options.degrade_mode == "reject";
  options.server.degrade.recovery = std::chrono::seconds(options.degrade_recovery);
  RETORT_ASSIGN(auto chosen, choose_model(options.model));
  RETORT_TRY(check_quantization(options.quantization, chosen.options.model));
  const uint64_t seed = chosen.options.engine.seed;
  chosen.options.engine = options.engine;
  RETORT_ASSIGN(chosen.options.engine.num_speculative_tokens, parse_speculative_config(options.speculative_config));
  chosen.options.engine.seed = seed;
  auto& server = options.server;
  server.force_thinking = chosen.force_thinking;
  server.uses_generation_config = options.generation_config == "auto";
  if (server.served_model_name.empty()) server.served_model_name = chosen.name;
  server.header_timeout = Seconds(options.header_timeout);
  server.idle_timeout = Seconds(options.idle_timeout);
  server.request_timeout = Seconds(options.request_timeout);
  server.shutdown_timeout = Seconds(options.shutdown_timeout);
  server.step_timeout = Seconds(options.step_timeout);
  server.schema_timeout = std::chrono::milliseconds(options.schema_timeout_ms);
  RETORT_ASSIGN(const auto isa, select_isa());

  const auto listening = Server::bind(server);
  if (!listening)
    return fail(listening.error().kind, "{}{}", listening.error().message,
                listening.error().kind == ErrorKind::kIo && server.uds.empty()
                    ? ". --host and --port choose another address"
                    : "");
  const int threads = chosen.options.num_threads > 0 ? chosen.options.num_threads : default_num_threads();
  log::info("Retort " RETORT_VERSION " on {} ({}), {} kernels, {} threads", cpu_model(), cpu_features(), isa_name(isa),
            threads);
  note_accepted_flags(app);
  for (const auto& sentence : unread_variables(app)) log::warn("{}", sentence);
  RETORT_ASSIGN(const auto llm, Llm::load(chosen.options));
  if (llm->chat_template() == nullptr)
    log::warn("the model {}: only /v1/completions works (--chat-template gives it one)", llm->chat_fault());
  if (chosen.force_thinking) log::info("thinking is forced: every answer begins with <think> (--force-thinking off)");
  return (*listening)->serve(*llm);
}

}  // namespace

RunCommand add_serve_command(CLI::App& app) {
  auto options = std::make_shared<ServeOptions>();
  add_model_flags(app, options->model);
  add_engine_flags(app, *options);
  add_listening_flags(app, *options);
  add_access_flags(app, *options);
  add_limit_flags(app, *options);
  add_time_flags(app, *options);
  add_degrade_flags(app, *options);
  add_log_flags(app, *options);
  add_answer_flags(app, *options);
  add_prompt_flags(app, *options);
  app.add_option("--config", options->config_file, "A YAML file of these flags: \"port: 8001\"")->group("Other");
  add_vllm_flags(app, *options);
  app.footer(
      "Each flag can also be set by an environment variable (RETORT_PORT=8001) or in the file of --config;\n"
      "the command line goes before the environment, the environment before the file.\n\n"
      "  retort serve smollm2-135m                          a small model, to try things out\n"
      "  retort serve model.gguf --host 0.0.0.0 --api-key K  for others on the network\n"
      "  retort serve model.gguf --kv-cache-memory 2G       on a small machine");
  return [options, &app] {
    const auto code = serve(*options, app);
    return code ? *code : report(code.error());
  };
}

}  // namespace retort
