// A model of which every answer is known beforehand. It keeps tokens where a real one keeps keys and values, reads its
// whole context back through the block table, and lets a script choose the next token: a wrong block table, a missing
// copy or a block shared by mistake changes the answer.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <vector>

#include "engine/model_runner.h"
#include "text/tokenizer.h"

namespace retort::testing {

// The token that follows a context. Has no state: called twice it says the same.
using TokenScript = std::function<TokenId(std::span<const TokenId> context)>;

inline uint64_t hash_context(std::span<const TokenId> context) {
  uint64_t hash = 1469598103934665603u;
  for (TokenId token : context) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 1099511628211u;
    hash ^= hash >> 29;
  }
  return hash;
}

// Depends on every token of the context.
inline TokenScript hash_script(int32_t vocab_size) {
  return [vocab_size](std::span<const TokenId> context) {
    return static_cast<TokenId>(hash_context(context) % vocab_size);
  };
}

// What the model says after `prompt` when the most likely token is always taken.
inline std::vector<TokenId> scripted_answer(const TokenScript& script, std::vector<TokenId> prompt, int num_tokens) {
  const size_t num_prompt_tokens = prompt.size();
  for (int i = 0; i < num_tokens; ++i) prompt.push_back(script(prompt));
  return {prompt.begin() + static_cast<ptrdiff_t>(num_prompt_tokens), prompt.end()};
}

class FakeRunner : public ModelRunner {
 public:
  FakeRunner(int32_t vocab_size, int32_t num_blocks, TokenScript script)
      : vocab_size_(vocab_size), script_(std::move(script)), slots_(static_cast<size_t>(num_blocks) * kBlockTokens) {}
  FakeRunner(int32_t vocab_size, int32_t num_blocks) : FakeRunner(vocab_size, num_blocks, hash_script(vocab_size)) {}

  // Called at the start of each run: may wait, count, or throw.
  std::function<void(std::span<const ForwardSequence>)> before_run;

  int32_t vocab_size() const override { return vocab_size_; }
  int32_t num_blocks() const override { return static_cast<int32_t>(slots_.size() / kBlockTokens); }
  void copy_block(int32_t from, int32_t to) override {
    std::copy_n(slots_.begin() + ptrdiff_t{from} * kBlockTokens, kBlockTokens,
                slots_.begin() + ptrdiff_t{to} * kBlockTokens);
  }

  std::span<const float> run(std::span<const ForwardSequence> batch) override {
    if (before_run) before_run(batch);
    for (const auto& sequence : batch) store(sequence);
    logits_.clear();
    hidden_.clear();
    for (const auto& sequence : batch) {
      const int64_t end = sequence.first_position + std::ssize(sequence.tokens);
      for (int64_t position = end - sequence.num_logits; position < end; ++position) append_row(sequence, position);
    }
    return logits_;
  }

  int64_t hidden_size() const override { return kHiddenSize; }
  std::span<const float> hidden() const override { return hidden_; }

  static constexpr int64_t kHiddenSize = 4;
  // Depends on every token of the context.
  static std::vector<float> hidden_after(std::span<const TokenId> context) {
    const uint64_t hash = hash_context(context);
    std::vector<float> hidden;
    for (int i = 0; i < kHiddenSize; ++i) hidden.push_back(static_cast<float>((hash >> (16 * i)) & 0xffff) - 0x8000);
    return hidden;
  }

  // The scripted token leads by far; the others differ, so that sampling has something to choose from.
  static std::vector<float> logits_after(std::span<const TokenId> context, const TokenScript& script,
                                         int32_t vocab_size) {
    std::vector<float> logits(vocab_size);
    const uint64_t hash = hash_context(context);
    for (int32_t i = 0; i < vocab_size; ++i)
      logits[i] = static_cast<float>((hash * (2 * i + 3)) >> 40) * 0x1p-24f * 4 - 2;
    logits[script(context)] = 4;
    return logits;
  }

 private:
  struct Slot {
    TokenId token = -1;
    int64_t position = -1;
  };

  Slot& slot(const ForwardSequence& sequence, int64_t position) {
    return slots_.at(int64_t{sequence.block_table[position / kBlockTokens]} * kBlockTokens + position % kBlockTokens);
  }

  void store(const ForwardSequence& sequence) {
    const int64_t end = sequence.first_position + std::ssize(sequence.tokens);
    ASSERT_LE(end, std::ssize(sequence.block_table) * kBlockTokens) << "the block table is too short";
    for (int64_t i = 0; i < std::ssize(sequence.tokens); ++i)
      slot(sequence, sequence.first_position + i) = {sequence.tokens[i], sequence.first_position + i};
  }

  void append_row(const ForwardSequence& sequence, int64_t position) {
    context_.clear();
    for (int64_t i = 0; i <= position; ++i) {
      const Slot& s = slot(sequence, i);
      ASSERT_EQ(s.position, i) << "the block table leads to a slot of another position";
      context_.push_back(s.token);
    }
    const auto row = sequence.wants_hidden ? hidden_after(context_) : logits_after(context_, script_, vocab_size_);
    auto& rows = sequence.wants_hidden ? hidden_ : logits_;
    rows.insert(rows.end(), row.begin(), row.end());
  }

  int32_t vocab_size_;
  TokenScript script_;
  std::vector<Slot> slots_;  // [num_blocks, kBlockTokens]
  std::vector<TokenId> context_;
  std::vector<float> logits_, hidden_;
};

}  // namespace retort::testing
