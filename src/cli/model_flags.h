// The options that say how a model is loaded, shared by the commands that load one.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/llm.h"

namespace retort {

struct ModelFlags {
  std::string model_argument, model;  // MODEL and --model: the first wins
  std::string chat_template;
  std::string max_model_len = "auto", kv_cache_memory = "auto", kv_cache_dtype = "auto", force_thinking = "auto";
  std::string kernel_tuning = "auto";
  int threads = 0;
  std::optional<uint64_t> seed;
};
void add_model_flags(CLI::App& app, ModelFlags& flags);

struct ChosenModel {
  LlmOptions options;
  std::string name;             // what requests call it: the catalogue's name, else the file's
  bool force_thinking = false;  // as asked; auto: when it is an R1 distil, whose template may let it skip thinking
};
// Finds the model's file; without a name, the first default of the catalogue that is here. Errors say the remedy.
Result<ChosenModel> choose_model(const ModelFlags& flags);

// For the commands that run a model.
void add_kernel_tuning_flag(CLI::App& app, std::string& text, const std::string& group);
// "auto", "default", "nudged_rows=2", "nudged_rows=2,keeps_lines=1,many_rows_from=3". Error kBadUsage.
Result<KernelTuningRequest> parse_kernel_tuning(const std::string& text);

// Of --kv-cache-dtype: what kKvTypeNames lists.
KvType kv_type_of(std::string_view dtype);
inline const std::vector<std::string> kKvTypeNames = {"auto", "bf16", "int8", "f32"};

// "4G", "512MiB", "1e9", "50%" (of total). Error kBadUsage names the flag.
Result<uint64_t> parse_memory(std::string_view flag, const std::string& text, uint64_t total);
// vLLM's --speculative-config. No tokens are guessed with {"method": "none"}; an empty text is {"method": "ngram"}.
// Error kBadUsage: no JSON object, or a method or key that is not supported.
Result<SpeculativeConfig> parse_speculative_config(const std::string& json);
// "4096", "32k" (thousands), "32K" (1,024s), as vLLM reads them.
Result<int64_t> parse_token_count(std::string_view flag, const std::string& text);

}  // namespace retort
