#include "cli/serve_flags.h"

#include <set>

#include "cli/ranges.h"
#include "server/http/guard.h"
#include "text/tools/tool_format.h"

namespace retort {
namespace {

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
      ->check(not_empty("an origin"))
      ->check(such(http::is_origin,
                   "an origin as browsers send it (https://page.example, http://localhost:3000: no path, no default "
                   "port) or *"))
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--allowed-hosts", server.allowed_hosts,
                 "Names besides localhost by which requests may call this server; repeat for several")
      ->check(not_empty("a name"))
      ->check(such(http::is_host_name, "a name or an address without a port (retort.lan, 10.0.0.5)"))
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
                 "Tokens in one step: the length of a piece of a long prompt; at least --max-num-seqs")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-step-ms", engine.max_step_ms,
                 "Milliseconds a step should take: bounds how long running answers wait for a long prompt, of which a "
                 "step takes 8 tokens or more even so; 0: no limit")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  app.add_option(
         "--speculative-config", options.speculative_config,
         "Guessing of tokens that stood in the text before, as JSON in vLLM's form; guesses run where they pay and "
         "never change an answer; {\"method\": \"none\"} turns them off")
      ->check(not_empty("a JSON object"))
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

void add_vllm_flags(CLI::App& app, ServeOptions& options) {
  const char* group = kVllmFlags;
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

}  // namespace

void add_serve_flags(CLI::App& app, ServeOptions& options) {
  add_model_flags(app, options.model);
  add_engine_flags(app, options);
  add_listening_flags(app, options);
  add_access_flags(app, options);
  add_limit_flags(app, options);
  add_time_flags(app, options);
  add_degrade_flags(app, options);
  add_log_flags(app, options);
  add_answer_flags(app, options);
  add_prompt_flags(app, options);
  app.add_option("--config", options.config_file, "A YAML file of these flags: \"port: 8001\"")->group("Other");
  add_vllm_flags(app, options);
}

}  // namespace retort
