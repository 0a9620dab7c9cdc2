// retort serve: the OpenAI-compatible server.
#include "server/server.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <sstream>

#include "base/log.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/serve_flags.h"
#include "cli/terminal.h"
#include "cli/text_file.h"

namespace retort {
namespace {

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
  constexpr std::string_view kBlanks = " \t\v\f\r";
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
    if (option->get_group() == kVllmFlags && option->count() > 0)
      log::info("{} changes nothing: {}", option->get_name(), option->get_description());
}

Result<int> serve(ServeOptions& options, const CLI::App& app) {
  using Seconds = std::chrono::seconds;
  std::signal(SIGPIPE, SIG_IGN);  // a log whose reader has gone must not end the server
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
  RETORT_ASSIGN(chosen.options.engine.speculative, parse_speculative_config(options.speculative_config));
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
  add_serve_flags(app, *options);
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
