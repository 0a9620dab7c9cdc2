#include "engine/llm.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/cpu.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "engine/kv_budget.h"
#include "model/checkpoint.h"
#include "model/kv_store.h"
#include "model/transformer.h"

namespace retort {
namespace {

class TransformerRunner final : public ModelRunner {
 public:
  TransformerRunner(Transformer& transformer, KvStore& kv) : transformer_(transformer), kv_(kv) {}
  int32_t vocab_size() const override { return static_cast<int32_t>(transformer_.config().vocab_size); }
  int32_t num_blocks() const override { return kv_.num_blocks(); }
  void copy_block(int32_t from, int32_t to) override { kv_.copy_block(from, to); }
  std::span<const float> run(std::span<const ForwardSequence> batch) override {
    return transformer_.forward(batch, kv_);
  }
  int64_t hidden_size() const override { return transformer_.config().hidden_size; }
  std::span<const float> hidden() const override { return transformer_.hidden(); }

 private:
  Transformer& transformer_;
  KvStore& kv_;
};

// As templates see it; empty when the model names none.
std::string eos_text(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  if (const Gguf* file = checkpoint.gguf()) {
    const auto id = file->get_uint("tokenizer.ggml.eos_token_id");
    const bool known = id && *id < static_cast<uint64_t>(tokenizer.vocab_size());
    return known ? std::string(tokenizer.token_bytes(static_cast<TokenId>(*id))) : "";
  }
  const auto& config = checkpoint.hf()->tokenizer_config();
  if (!config.is_object() || !config.contains("eos_token")) return "";
  const auto& eos = config.at("eos_token");  // "</s>" or {"content": "</s>", …}
  if (eos.is_string()) return eos.get<std::string>();
  const bool has_content = eos.is_object() && eos.contains("content") && eos.at("content").is_string();
  return has_content ? eos.at("content").get<std::string>() : "";
}

// The family is told by the control tokens the vocabulary has; null when it is none known.
const char* template_of_family(const Tokenizer& tokenizer) {
  struct Family {
    const char* token;
    const char* name;
  };
  constexpr Family kFamilies[] = {
      {"<｜Assistant｜>", "deepseek-r1"}, {"<|start_header_id|>", "llama3"}, {"<|im_start|>", "chatml"}};
  for (const Family& family : kFamilies)
    if (tokenizer.find(family.token)) return builtin_chat_template(family.name);
  return nullptr;
}

struct Chat {
  std::optional<ChatTemplate> chat_template;
  std::string fault;
};

Result<Chat> load_chat_template(const std::string& given, const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  std::string source = given.empty() ? checkpoint.chat_template() : given;
  if (source.empty()) {
    const char* builtin = template_of_family(tokenizer);
    if (builtin == nullptr) return Chat{std::nullopt, "has no chat template"};
    source = builtin;
  }
  const auto bos = tokenizer.bos() ? tokenizer.token_bytes(*tokenizer.bos()) : std::string_view();
  auto compiled = ChatTemplate::compile(source, bos, eos_text(checkpoint, tokenizer));
  if (compiled) return Chat{std::move(*compiled), ""};
  if (!given.empty() || compiled.error().kind == ErrorKind::kUnavailable) return tl::unexpected(compiled.error());
  return Chat{std::nullopt, fmt::format("has a chat template that does not compile ({})", compiled.error().message)};
}

KvRequest kv_request_of(const LlmOptions& options, const ModelConfig& config) {
  return {.cache_bytes = options.kv_cache_bytes,
          .max_model_len = options.max_model_len,
          .max_num_seqs = options.engine.max_num_seqs,
          .model_context = config.max_context,
          .bytes_per_block = KvStore::bytes_per_block(config, options.kv_type)};
}

// What there will be once the weights are packed, about: what cannot fit beside them is refused before that takes its
// seconds.
Memory memory_beside_weights(const Checkpoint& checkpoint) {
  Memory memory = memory_of_process();
  memory.available -= std::min<uint64_t>(memory.available, checkpoint.weight_bytes());
  return memory;
}

}  // namespace

Result<Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  RETORT_ASSIGN(Tokenizer tokenizer, checkpoint.gguf() != nullptr ? Tokenizer::from_gguf(*checkpoint.gguf())
                                                                  : Tokenizer::from_hf(*checkpoint.hf()));
  if (tokenizer.vocab_size() > checkpoint.config().vocab_size)
    return fail(ErrorKind::kBadInput,
                "[model] tokenizer: expected at most the {} tokens the model has logits for, it has {}",
                checkpoint.config().vocab_size, tokenizer.vocab_size());
  return tokenizer;
}

void recommend(const SamplingDefaults& sampling, ModelConfig& config) {
  if (!config.temperature) config.temperature = sampling.temperature;
  if (!config.top_p) config.top_p = sampling.top_p;
  if (!config.top_k) config.top_k = sampling.top_k;
}

// In the order of loading; destroyed the other way round: the engine's thread ends first.
struct Llm::Impl {
  ModelConfig config;
  std::optional<Tokenizer> tokenizer;
  Chat chat;
  std::unique_ptr<ThreadPool> pool;
  std::optional<Transformer> transformer;
  std::optional<KvStore> kv;
  std::unique_ptr<TransformerRunner> runner;
  std::unique_ptr<Engine> engine;
};

Llm::Llm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Llm::~Llm() = default;

Result<std::unique_ptr<Llm>> Llm::load(const LlmOptions& options) {
  RETORT_ASSIGN(const Isa isa, select_isa());
  RETORT_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(options.model));
  auto impl = std::make_unique<Impl>();
  impl->config = checkpoint.config();
  recommend(options.sampling, impl->config);
  const ModelConfig& config = impl->config;
  RETORT_ASSIGN(impl->tokenizer, load_tokenizer(checkpoint));
  RETORT_ASSIGN(impl->chat, load_chat_template(options.chat_template_source, checkpoint, *impl->tokenizer));
  const KvRequest kv_request = kv_request_of(options, config);
  RETORT_TRY(plan_kv(kv_request, memory_beside_weights(checkpoint)));

  const int threads = options.num_threads > 0 ? options.num_threads : default_num_threads();
  impl->pool = std::make_unique<ThreadPool>(threads);
  const auto start = Clock::now();
  RETORT_ASSIGN(impl->transformer, Transformer::load(checkpoint, isa, *impl->pool));
  log::info("{}: {} with {} layers, hidden size {}, {} heads ({} for keys and values), {} tokens",
            options.model.filename().string(), config.architecture, config.num_layers, config.hidden_size,
            config.num_heads, config.num_kv_heads, config.vocab_size);
  log::info("weights: {:.0f} MiB, packed in {:.1f} s; {} threads, {}",
            static_cast<double>(impl->transformer->weight_bytes()) / (1 << 20),
            std::chrono::duration<double>(Clock::now() - start).count(), threads, isa_name(isa));
  log::info("kernels: {}", to_string(impl->transformer->tune_kernels(options.kernel_tuning)));

  RETORT_ASSIGN(const KvBudget budget, plan_kv(kv_request, memory_of_process()));
  RETORT_ASSIGN(impl->kv, KvStore::allocate(config, options.kv_type, budget.num_blocks));
  log::info("KV cache: {:.0f} MiB for {} tokens; longest sequence {} tokens, {:.1f} of that length at once",
            static_cast<double>(impl->kv->num_bytes()) / (1 << 20), int64_t{budget.num_blocks} * kBlockTokens,
            budget.max_model_len,
            static_cast<double>(budget.num_blocks) * kBlockTokens / static_cast<double>(budget.max_model_len));
  if (options.max_model_len == 0 && budget.max_model_len < config.max_context)
    log::warn("the model was made for {} tokens: the KV cache holds no more than {}", config.max_context,
              budget.max_model_len);

  impl->runner = std::make_unique<TransformerRunner>(*impl->transformer, *impl->kv);
  EngineConfig engine = options.engine;
  engine.max_model_len = budget.max_model_len;
  engine.stop_tokens = impl->tokenizer->stop_tokens();
  impl->engine = std::make_unique<Engine>(engine, *impl->runner);
  return std::unique_ptr<Llm>(new Llm(std::move(impl)));
}

const ModelConfig& Llm::config() const { return impl_->config; }
const Tokenizer& Llm::tokenizer() const { return *impl_->tokenizer; }
const ChatTemplate* Llm::chat_template() const {
  return impl_->chat.chat_template ? &*impl_->chat.chat_template : nullptr;
}
const std::string& Llm::chat_fault() const { return impl_->chat.fault; }
Engine& Llm::engine() { return *impl_->engine; }
int64_t Llm::max_model_len() const { return impl_->engine->config().max_model_len; }
size_t Llm::weight_bytes() const { return impl_->transformer->weight_bytes(); }
size_t Llm::kv_bytes() const { return impl_->kv->num_bytes(); }
KvType Llm::kv_type() const { return impl_->kv->type(); }

}  // namespace retort
