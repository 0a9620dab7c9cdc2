// A model ready to serve: tokenizer, chat template, weights, KV memory and the engine that runs them (vLLM's class
// LLM).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kernel_tuning.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace retort {

struct SamplingDefaults {
  std::optional<float> temperature, top_p;
  std::optional<int> top_k;
};
// Fills in what the model's own files leave open.
void recommend(const SamplingDefaults& sampling, ModelConfig& config);

struct LlmOptions {
  std::filesystem::path model = {};       // .gguf or folder
  std::string chat_template_source = {};  // empty: the model's own, else the built-in of its family
  SamplingDefaults sampling = {};         // for what the model does not recommend itself
  int num_threads = 0;                    // 0: default_num_threads()
  uint64_t kv_cache_bytes = 0;            // 0: chosen, see kv_budget.h
  KvType kv_type = KvType::kBF16;
  KernelTuningRequest kernel_tuning = {};
  int64_t max_model_len = 0;  // 0: as much as the KV memory holds for one sequence, up to the model's own
  EngineConfig engine = {};   // max_model_len and stop_tokens are filled in by load()
};

// The model's own. kBadInput: it has tokens that the model has no logits for.
Result<Tokenizer> load_tokenizer(const Checkpoint& checkpoint);

class Llm {
 public:
  // Errors: those of the files, of memory that cannot be had, of a given chat template that does not compile.
  static Result<std::unique_ptr<Llm>> load(const LlmOptions& options);
  ~Llm();

  const ModelConfig& config() const;
  const Tokenizer& tokenizer() const;
  const ChatTemplate* chat_template() const;  // null: there is none that works, only completions are possible
  const std::string& chat_fault() const;      // why it is null, a predicate: "has no chat template"; else empty
  Engine& engine();
  int64_t max_model_len() const;
  size_t weight_bytes() const;
  size_t kv_bytes() const;
  KvType kv_type() const;

 private:
  struct Impl;
  explicit Llm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace retort
