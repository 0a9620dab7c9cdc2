#include "cli/model_flags.h"

#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/cpu.h"
#include "base/memory.h"
#include "cli/hub/catalogue.h"
#include "cli/hub/model_cache.h"
#include "cli/ranges.h"
#include "cli/text_file.h"
#include "formats/json.h"
#include "model/checkpoint.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

// The number a text begins with, and what follows it.
std::optional<std::pair<double, std::string>> split_number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !std::isfinite(value) || value < 0) return std::nullopt;
  return std::pair(value, std::string(end));
}

Result<std::string> template_source(const std::string& name_or_file) {
  if (const char* builtin = builtin_chat_template(name_or_file)) return builtin;
  auto source = read_text_file(name_or_file);
  if (!source && source.error().kind == ErrorKind::kNotFound)
    return fail(
        ErrorKind::kNotFound,
        "[serve] --chat-template: no file, and no built-in template (chatml, llama3, deepseek-r1), is called '{}'",
        name_or_file);
  if (!source) return fail(source.error().kind, "[serve] --chat-template {}: {}", name_or_file, source.error().message);
  return source;
}

Result<fs::path> default_model() {
  RETORT_TRY(models_folder());
  std::string ways;
  for (const auto& model : catalogue()) {
    if (const auto path = find_model(model.name)) return *path;
    ways += "\n  " + ways_to_fetch(model);
  }
  return fail(ErrorKind::kNotFound,
              "[model] no MODEL is named, and none of the catalogue is on this machine. Fetch one:{}", ways);
}

std::string served_name(const fs::path& path) {
  if (const auto* model = catalogue_model_of(path)) return model->name;
  const auto folder = path.has_filename() ? path : path.parent_path();
  return fs::is_directory(path) ? folder.filename().string() : path.stem().string();
}

// R1 distils begin to answer without thinking when nothing holds them to it.
Result<bool> is_r1_distil(const fs::path& path, const std::string& chat_template) {
  constexpr std::string_view kMark = "<｜Assistant｜>";
  if (!chat_template.empty()) return chat_template.find(kMark) != std::string::npos;
  RETORT_ASSIGN(const auto checkpoint, Checkpoint::open(path));
  return checkpoint.chat_template().find(kMark) != std::string::npos;
}

}  // namespace

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  const auto cores = default_num_threads();
  app.add_option("MODEL", flags.model_argument,
                 "A .gguf file, a Hugging Face folder, a name of the catalogue (retort pull --list) or "
                 "OWNER/REPO[:QUANT]. Without it: the first of the catalogue that is here")
      ->check(not_empty("a model"));
  app.add_option("--model", flags.model, "The same, as vLLM spells it")->check(not_empty("a model"))->group("Model");
  app.add_option("--chat-template", flags.chat_template,
                 "A Jinja file, or chatml, llama3, deepseek-r1; instead of the model's own")
      ->group("Model");
  app.add_option("--force-thinking", flags.force_thinking,
                 "Begin every answer with <think>: on, off, or auto (R1 distils only)")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str()
      ->group("Model");
  app.add_option(
         "--max-model-len", flags.max_model_len,
         "Tokens of prompt and answer together: 4096, 32K; auto: what the KV memory holds, up to the model's own limit")
      ->capture_default_str()
      ->group("Model");
  app.add_option(
         "--kv-cache-memory", flags.kv_cache_memory,
         "Memory for keys and values: 4G, or 50% of this machine's; auto: what is free within 85% of it. Pages are "
         "taken when first used")
      ->capture_default_str()
      ->group("Model");
  app.add_option("--kv-cache-dtype", flags.kv_cache_dtype,
                 "Keys and values as bf16 (auto), int8 (half the memory) or f32")
      ->check(CLI::IsMember(kKvTypeNames))
      ->capture_default_str()
      ->group("Model");
  app.add_option("--threads", flags.threads, "Compute threads")
      ->check(thread_count())
      ->default_str(fmt::format("physical cores, {} here", cores))
      ->group("Model");
  add_kernel_tuning_flag(app, flags.kernel_tuning, "Model");
  app.add_option(
         "--seed", flags.seed,
         "For what requests without a seed draw: each draws anew, and after another start with this seed the same "
         "requests in the same order draw the same")
      ->default_str("0")
      ->group("Model");
}

void add_kernel_tuning_flag(CLI::App& app, std::string& text, const std::string& group) {
  app.add_option("--kernel-tuning", text,
                 "How matmuls read ahead and from how many rows on they go another way, which changes their speed and "
                 "no result: auto (measured in 0.2 s at the first start, then kept in the cache folder), default (the "
                 "instruction set's own), or "
                 "nudged_rows=N,keeps_lines=0|1,many_rows_from=M")
      ->capture_default_str()
      ->group(group);
}

Result<KernelTuningRequest> parse_kernel_tuning(const std::string& text) {
  KernelTuningRequest request;
  if (text == "default") return request;
  if (text == "auto") {
    request.measures = true;
    if (const auto cache = cache_folder()) request.cache_file = *cache / "kernel_tuning.json";
    return request;
  }
  const auto refuse = [&](const std::string& expected) {
    return fail(ErrorKind::kBadUsage, "[flags] --kernel-tuning: expected {}, got '{}'", expected, text);
  };
  struct TuningNumber {
    const char* name;
    int least, most;
    std::optional<int>* value;
  };
  const TuningNumber numbers[] = {{"nudged_rows", 0, kMaxTileRows, &request.nudged_rows},
                                  {"many_rows_from", 1, kNoManyRows, &request.many_rows_from},
                                  {"keeps_lines", 0, 1, &request.keeps_lines}};
  std::istringstream pairs(text + ',');
  for (std::string pair; std::getline(pairs, pair, ',');) {
    const auto number = std::ranges::find_if(
        numbers, [&](const TuningNumber& number) { return pair.starts_with(fmt::format("{}=", number.name)); });
    if (number == std::end(numbers)) return refuse("auto, default or nudged_rows=N,keeps_lines=0|1,many_rows_from=M");
    if (*number->value) return refuse(fmt::format("{} once", number->name));
    const char *begin = pair.data() + pair.find('=') + 1, *end = pair.data() + pair.size();
    int value = -1;
    const auto parsed = std::from_chars(begin, end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end || value < number->least || value > number->most)
      return refuse(fmt::format("{} from {} to {}", number->name, number->least, number->most));
    *number->value = value;
  }
  return request;
}

KvType kv_type_of(std::string_view dtype) {
  return dtype == "f32" ? KvType::kF32 : dtype == "int8" ? KvType::kInt8 : KvType::kBF16;
}

Result<ChosenModel> choose_model(const ModelFlags& flags) {
  ChosenModel chosen;
  LlmOptions& options = chosen.options;
  const auto& name = flags.model_argument.empty() ? flags.model : flags.model_argument;
  RETORT_ASSIGN(options.model, name.empty() ? default_model() : find_model(name));
  chosen.name = served_name(options.model);
  if (const auto* model = catalogue_model_of(options.model)) options.sampling = model->sampling;
  if (!flags.chat_template.empty()) {
    RETORT_ASSIGN(options.chat_template_source, template_source(flags.chat_template));
  }
  RETORT_ASSIGN(const bool is_r1, is_r1_distil(options.model, options.chat_template_source));
  chosen.force_thinking = flags.force_thinking == "on" || (flags.force_thinking == "auto" && is_r1);
  if (flags.max_model_len != "auto") {
    RETORT_ASSIGN(options.max_model_len, parse_token_count("--max-model-len", flags.max_model_len));
  }
  if (flags.kv_cache_memory != "auto") {
    RETORT_ASSIGN(options.kv_cache_bytes,
                  parse_memory("--kv-cache-memory", flags.kv_cache_memory, memory_of_machine().limit));
  }
  options.kv_type = kv_type_of(flags.kv_cache_dtype);
  RETORT_ASSIGN(options.kernel_tuning, parse_kernel_tuning(flags.kernel_tuning));
  options.num_threads = flags.threads;
  options.engine.seed = flags.seed.value_or(0);
  return chosen;
}

Result<SpeculativeConfig> parse_speculative_config(const std::string& json) {
  if (json.empty()) return SpeculativeConfig{};
  const auto refuse = [&](std::string_view expected) {
    return fail(ErrorKind::kBadUsage, "[flags] --speculative-config: expected {}, got {}", expected, json);
  };
  constexpr JsonLimits kLimits = {.max_bytes = 1000, .max_depth = 1, .refuse_duplicate_keys = true};
  const auto parsed = parse_json_object(json, kLimits, "[flags]");
  if (!parsed || !parsed->contains("method")) return refuse(R"(a JSON object like {"method": "ngram"}, no key twice)");
  const auto& given = *parsed;
  if (given["method"] == "none" && given.size() == 1) return SpeculativeConfig{.num_speculative_tokens = 0};
  if (given["method"] == "none") return refuse(R"(no other key beside method "none")");
  if (given["method"] != "ngram") return refuse(R"(method "ngram" or "none")");
  SpeculativeConfig config;
  const std::map<std::string, std::pair<int*, int>> keys = {
      {"num_speculative_tokens", {&config.num_speculative_tokens, kMaxDrafts}},
      {"prompt_lookup_min", {&config.prompt_lookup_min, kMaxPromptLookup}},
      {"prompt_lookup_max", {&config.prompt_lookup_max, kMaxPromptLookup}}};
  for (const auto& [name, value] : given.items()) {
    if (name == "method") continue;
    const auto key = keys.find(name);
    if (key == keys.end())
      return refuse("method, num_speculative_tokens, prompt_lookup_min and prompt_lookup_max only");
    const auto [number, max] = key->second;
    if (!value.is_number_unsigned() || value < 1 || value > max) return refuse(fmt::format("{} 1 to {}", name, max));
    *number = value;
  }
  // Where one of the two is given, the other one's default gives way.
  if (!given.contains("prompt_lookup_min"))
    config.prompt_lookup_min = std::min(config.prompt_lookup_min, config.prompt_lookup_max);
  if (!given.contains("prompt_lookup_max"))
    config.prompt_lookup_max = std::max(config.prompt_lookup_min, config.prompt_lookup_max);
  if (config.prompt_lookup_min > config.prompt_lookup_max)
    return refuse("prompt_lookup_min no larger than prompt_lookup_max");
  return config;
}

Result<uint64_t> parse_memory(std::string_view flag, const std::string& text, uint64_t total) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},          {"B", 1},           {"K", 1024.0}, {"KiB", 1024.0},     {"KB", 1e3},
      {"M", 1048576.0}, {"MiB", 1048576.0}, {"MB", 1e6},   {"G", 1073741824.0}, {"GiB", 1073741824.0},
      {"GB", 1e9}};
  const auto number = split_number(text);
  double bytes = 0;
  if (number && number->second == "%" && number->first <= 100)
    bytes = number->first / 100 * static_cast<double>(total);
  else if (const auto unit = number ? kUnits.find(number->second) : kUnits.end(); unit != kUnits.end())
    bytes = number->first * unit->second;
  if (bytes < 1 || bytes > 1e18)
    return fail(ErrorKind::kBadUsage, "[serve] {}: expected auto, bytes (4G, 512MiB) or a share (50%), got '{}'", flag,
                text);
  return static_cast<uint64_t>(bytes);
}

Result<int64_t> parse_token_count(std::string_view flag, const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"", 1}, {"k", 1e3}, {"K", 1024}, {"m", 1e6}, {"M", 1048576}};
  const auto number = split_number(text);
  const auto unit = number ? kUnits.find(number->second) : kUnits.end();
  const double count = unit == kUnits.end() ? 0 : number->first * unit->second;
  if (count < 1 || count > 1e9 || count != std::floor(count))
    return fail(ErrorKind::kBadUsage, "[serve] {}: expected auto or a number of tokens (4096, 32K), got '{}'", flag,
                text);
  return static_cast<int64_t>(count);
}

}  // namespace retort
