// The forward pass of Qwen2, Qwen3 and Llama models over one mixed batch: prompt chunks and single generated tokens
// side by side. Owned and called by the engine thread. A row's logits are the same bits whatever else is in the batch
// and however its prompt was cut into chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/attention.h"
#include "model/checkpoint.h"
#include "model/kernel_tuning.h"
#include "model/kv_store.h"

namespace retort {

struct ForwardSequence {
  std::span<const int32_t> tokens;       // new tokens of this sequence in this step, at least one
  int64_t first_position;                // of tokens[0]; everything before it is in the KV store
  std::span<const int32_t> block_table;  // covers first_position + tokens.size() positions
  int64_t num_logits = 1;  // how many of its last tokens need logits: 0 (not the end of a prompt), 1, or more (scoring)
  bool wants_hidden = false;  // not logits but what the head would read: hidden() has those rows
};

class Transformer {
 public:
  // Packs the weights. `pool` must outlive the object; of the checkpoint it keeps a handle.
  static Result<Transformer> load(const Checkpoint& checkpoint, Isa isa, ThreadPool& pool);
  Transformer(Transformer&&) noexcept;
  Transformer& operator=(Transformer&&) noexcept;
  ~Transformer();

  // Before the first forward(). What that returns does not depend on it.
  TunedKernels tune_kernels(const KernelTuningRequest& request);

  const ModelConfig& config() const;
  size_t weight_bytes() const;     // resident, packed
  size_t bytes_per_token() const;  // of weights read to decode one token: the memory limit of decode speed
  // Returns logits [Σ num_logits, vocab_size] of the sequences that want them, in order; valid until the next call.
  // Keys and values of the new tokens are stored. Tokens must be below vocab_size and blocks below kv.num_blocks(),
  // which must have been made for this config.
  std::span<const float> forward(std::span<const ForwardSequence> batch, KvStore& kv);
  // Of the last forward(): [Σ num_logits, hidden_size] of the sequences with wants_hidden, in order.
  std::span<const float> hidden() const;

 private:
  struct Impl;
  explicit Transformer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace retort
