#include "cli/measure/speed.h"

#include <chrono>
#include <numeric>

#include "base/memory.h"

namespace retort {
namespace {

constexpr int kChunk = 512;  // prompt tokens in a step, as the engine's default has it

// Sequences with blocks of their own, fed with arbitrary tokens: speed does not depend on which.
class Runner {
 public:
  Runner(Transformer& model, KvStore& kv, int batch, int num_positions) : model_(model), kv_(kv) {
    const int blocks = (num_positions + kBlockTokens - 1) / kBlockTokens;
    for (int i = 0; i < batch; ++i) {
      tables_.emplace_back(blocks);
      std::iota(tables_.back().begin(), tables_.back().end(), i * blocks);
    }
    tokens_.resize(static_cast<size_t>(std::max(num_positions, kChunk)));
    uint32_t random = 1;
    for (auto& token : tokens_)
      token = static_cast<int32_t>((random = random * 1664525 + 1013904223) >> 8) %
              static_cast<int32_t>(model.config().vocab_size);
  }

  // Each sequence's positions 0 … num_tokens - 1, in chunks; logits for the last only.
  void prefill(int num_tokens) {
    for (const auto& table : tables_)
      for (int begin = 0; begin < num_tokens; begin += kChunk) {
        const int count = std::min(kChunk, num_tokens - begin);
        step({sequence(table, begin, count, begin + count == num_tokens)});
      }
  }

  // One token of each sequence at `position`.
  void decode(int position) {
    std::vector<ForwardSequence> batch;
    for (const auto& table : tables_) batch.push_back(sequence(table, position, 1, true));
    step(batch);
  }

 private:
  ForwardSequence sequence(const std::vector<int32_t>& table, int begin, int count, bool logits) const {
    return {.tokens = std::span(tokens_).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
            .first_position = begin,
            .block_table = table,
            .num_logits = logits ? 1 : 0};
  }
  void step(const std::vector<ForwardSequence>& batch) { model_.forward(batch, kv_); }

  Transformer& model_;
  KvStore& kv_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> tokens_;
};

double seconds_of_run(Runner& runner, const SpeedTest& test) {
  const auto start = std::chrono::steady_clock::now();
  if (test.kind == SpeedTest::Kind::kPrefill)
    runner.prefill(test.num_tokens);
  else
    for (int i = 0; i < test.num_tokens; ++i) runner.decode(test.context + i);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Bytes read and operations done in one run of the test.
struct Work {
  double bytes = 0, ops = 0;
};
Work work_of(const SpeedTest& test, const TokenCost& cost) {
  const double tokens = test.num_tokens, batch = test.batch;
  if (test.kind == SpeedTest::Kind::kPrefill) {
    const int chunks = (test.num_tokens + kChunk - 1) / kChunk;
    return {batch * chunks * cost.weight_bytes, batch * (tokens * cost.body_ops + cost.head_ops)};
  }
  const double mean_context = test.context + (tokens + 1) / 2;
  return {tokens * (cost.weight_bytes + batch * mean_context * cost.kv_bytes),
          tokens * batch * (cost.body_ops + cost.head_ops)};
}

int num_positions_of(const SpeedTest& test) { return test.context + test.num_tokens; }

int64_t num_blocks_of(const SpeedTest& test) {
  return int64_t{test.batch} * ((num_positions_of(test) + kBlockTokens - 1) / kBlockTokens);
}

}  // namespace

TokenCost cost_of(const Transformer& model, KvType kv_type) {
  const auto& config = model.config();
  const double hidden = static_cast<double>(config.hidden_size);
  const double attention =
      hidden * static_cast<double>((2 * config.num_heads + 2 * config.num_kv_heads) * config.head_dim);
  const double ffn = 3 * hidden * static_cast<double>(config.ffn_size);
  const double after_keys = hidden * static_cast<double>(config.num_heads * config.head_dim) + ffn;
  TokenCost cost;
  cost.body_ops = 2 * ((attention + ffn) * static_cast<double>(config.num_layers) - after_keys);
  cost.head_ops = 2 * (after_keys + hidden * static_cast<double>(config.vocab_size));
  cost.weight_bytes = static_cast<double>(model.bytes_per_token());
  cost.kv_bytes = static_cast<double>(KvStore::bytes_per_block(config, kv_type)) / kBlockTokens;
  return cost;
}

std::string name_of(const SpeedTest& test) {
  std::string name =
      fmt::format("{} {}", test.kind == SpeedTest::Kind::kPrefill ? "prefill" : "decode", test.num_tokens);
  if (test.batch > 1) name += fmt::format(" × {}", test.batch);
  if (test.context > 0) name += fmt::format(" after {}", test.context);
  return name;
}

Status check_memory(const SpeedTest& test, KvType kv_type, const Checkpoint& checkpoint) {
  const auto block_bytes = static_cast<double>(KvStore::bytes_per_block(checkpoint.config(), kv_type));
  const double kv_bytes = static_cast<double>(num_blocks_of(test)) * block_bytes;
  const auto free_bytes = static_cast<double>(memory_of_machine().available),
             weight_bytes = static_cast<double>(checkpoint.weight_bytes());
  if (kv_bytes <= free_bytes - weight_bytes) return {};
  return fail(ErrorKind::kTooLarge,
              "[bench] {}: expected keys and values of at most the {:.0f} MiB that are free beside the weights, they "
              "are {:.0f} MiB. A smaller --batch or --context needs less",
              name_of(test), std::max(0.0, free_bytes - weight_bytes) / (1 << 20), kv_bytes / (1 << 20));
}

Result<SpeedResult> measure_speed(Transformer& model, KvType kv_type, const SpeedTest& test, int repetitions) {
  RETORT_ASSIGN(auto kv, KvStore::allocate(model.config(), kv_type, static_cast<int32_t>(num_blocks_of(test))));
  Runner runner(model, kv, test.batch, num_positions_of(test));
  if (test.kind == SpeedTest::Kind::kDecode) runner.prefill(test.context + 1);  // positions before the measured ones
  std::vector<double> speeds;
  for (int i = 0; i < repetitions + 1; ++i) {
    const double seconds = seconds_of_run(runner, test);
    if (i > 0) speeds.push_back(test.num_tokens * test.batch / seconds);  // the first run only warms up
  }
  SpeedResult result{.test = test, .tokens_per_second = summarise(speeds)};
  const auto work = work_of(test, cost_of(model, kv_type));
  const double seconds = test.num_tokens * test.batch / result.tokens_per_second.median;
  result.gbps = work.bytes / seconds / 1e9;
  result.gops = work.ops / seconds / 1e9;
  return result;
}

}  // namespace retort
