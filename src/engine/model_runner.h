// The engine's view of a model: blocks and tokens in, logits out. The scheduler's tests put a fake in its place.
#pragma once

#include <cstdint>
#include <span>

#include "model/transformer.h"

namespace retort {

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;
  virtual int32_t vocab_size() const = 0;
  virtual int32_t num_blocks() const = 0;  // of kBlockTokens tokens each
  virtual void copy_block(int32_t from, int32_t to) = 0;
  virtual int64_t hidden_size() const = 0;
  // Logits [Σ num_logits, vocab_size] of the sequences that want them, valid until the next call.
  virtual std::span<const float> run(std::span<const ForwardSequence> batch) = 0;
  // Of the last run: [Σ num_logits, hidden_size] of the sequences with wants_hidden.
  virtual std::span<const float> hidden() const = 0;
};

}  // namespace retort
