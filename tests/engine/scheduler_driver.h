// Turns a Scheduler over a FakeRunner with random arrivals and cancels, and compares every answer with the one its
// prompt has alone.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "fake_runner.h"

namespace retort::testing {

inline std::string integrity(const Scheduler& scheduler) {
  const auto status = scheduler.check_integrity();
  return status ? "" : status.error().message;
}

struct DriverConfig {
  uint32_t seed = 1;
  int num_steps = 1000;
  int32_t num_blocks = 16;
  int max_num_seqs = 8;
  int max_num_batched_tokens = 50;
  bool enable_prefix_caching = true;
  bool speculate = false;
  bool holds = false;           // what may come next is not always known in time
  double max_step_seconds = 0;  // a step of this machine takes 10 ms and 0.5 ms a token
  BlockPool::HashFunction hash = BlockPool::hash_tokens;
};

class SchedulerDriver {
 public:
  explicit SchedulerDriver(const DriverConfig& config)
      : config_(config),
        random_(config.seed),
        script_(hash_script(kVocab)),
        runner_(kVocab, config.num_blocks, script_),
        scheduler_({.max_num_seqs = config.max_num_seqs,
                    .max_num_batched_tokens = config.max_num_batched_tokens,
                    .max_scored_rows = 40,
                    .priority_ageing_ms = 500,
                    .max_step_seconds = config.max_step_seconds},
                   config.num_blocks, config.enable_prefix_caching, config.hash) {
    for (auto& stem : stems_) stem = random_tokens(100);
  }

  void run() {
    while (num_steps_ < config_.num_steps) {
      if (scheduler_.num_waiting() < 6 && below(3) == 0) add();
      if (below(40) == 0) cancel_one();
      step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    while (scheduler_.has_work()) step();
    EXPECT_EQ(scheduler_.blocks().num_free(), config_.num_blocks);
  }

  int num_steps() const { return num_steps_; }
  int num_added() const { return num_added_; }
  int num_finished() const { return num_finished_; }
  int num_cancelled() const { return num_cancelled_; }
  int num_accepted() const { return num_accepted_; }
  int num_rejected() const { return num_rejected_; }
  uint64_t num_preemptions() const { return scheduler_.num_preemptions(); }

 private:
  static constexpr int32_t kVocab = 40;
  struct Answer {
    Sequence* sequence;
    int num_tokens;  // to generate
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  std::vector<TokenId> random_tokens(int n) {
    std::vector<TokenId> tokens(n);
    for (auto& token : tokens) token = below(kVocab);
    return tokens;
  }

  // Prompts often begin alike, so that the cache has something to give; and answer lengths reach up to the whole
  // memory.
  void add() {
    const auto& stem = stems_[below(3)];
    std::vector<TokenId> prompt(stem.begin(), stem.begin() + below(101));
    const auto tail = random_tokens(1 + below(below(4) == 0 ? 200 : 20));
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    const int num_samples = below(4) == 0 ? 1 + below(4) : 1;
    const auto room = static_cast<int>(config_.num_blocks * kBlockTokens - std::ssize(prompt));
    const int num_tokens = 1 + below(std::min(room, below(20) == 0 ? 400 : 60));
    auto& sequence = scheduler_.add({.request_id = next_id_,
                                     .prompt = std::move(prompt),
                                     .num_samples = num_samples,
                                     .priority = below(3),
                                     .arrived_ms = static_cast<int64_t>(1000 * seconds_),
                                     .cache_salt = std::string(below(2), 'x'),
                                     .score_prompt = below(8) == 0});
    answers_[{next_id_++, 0}] = {&sequence, num_tokens};
    num_added_ += num_samples;
  }

  void cancel_one() {
    if (answers_.empty()) return;
    auto it = answers_.begin();
    std::advance(it, below(static_cast<int>(answers_.size())));
    num_cancelled_ += it->second.sequence->num_samples;
    const int64_t owned_alone = num_owned_alone(*it->second.sequence);
    const int64_t num_free = scheduler_.blocks().num_free();
    scheduler_.remove(*it->second.sequence);
    EXPECT_EQ(scheduler_.blocks().num_free(), num_free + owned_alone);
    answers_.erase(it);
    ASSERT_EQ(integrity(scheduler_), "");
  }

  int64_t num_owned_alone(const Sequence& sequence) const {
    return std::ranges::count_if(sequence.block_table, [&](int32_t b) { return scheduler_.blocks().num_refs(b) == 1; });
  }

  // Each draft is right nine times out of ten.
  void guess() {
    for (auto& [key, answer] : answers_) {
      Sequence& sequence = *answer.sequence;
      sequence.drafts.clear();
      if (!config_.speculate || !sequence.is_decoding()) continue;
      const int64_t left = answer.num_tokens - (sequence.num_tokens() - sequence.num_prompt_tokens);
      auto context = sequence.tokens;
      for (int64_t i = below(8); i > 0 && std::ssize(sequence.drafts) + 1 < left; --i) {
        context.push_back((script_(context) + sequence.sample_idx + (below(10) == 0 ? 1 : 0)) % kVocab);
        sequence.drafts.push_back(context.back());
      }
      sequence.draft_acceptance = 0.1 * below(11);
    }
  }

  bool is_any_held() const {
    return std::ranges::any_of(answers_, [](const auto& entry) { return entry.second.sequence->is_held; });
  }

  void release_some() {
    for (auto& [key, answer] : answers_)
      if (answer.sequence->is_held && below(3) == 0) scheduler_.release(*answer.sequence);
  }

  void hold_some(const Step& step) {
    for (const auto& s : step.sequences)
      if (config_.holds && s.samples && below(8) == 0) scheduler_.hold(*s.sequence);
  }

  void step() {
    release_some();
    guess();
    const Step& step = scheduler_.plan();
    if (step.sequences.empty()) {
      ASSERT_TRUE(!scheduler_.has_work() || is_any_held());
      return;
    }
    ++num_steps_;
    check_plan(step);
    for (const auto& copy : step.copies) runner_.copy_block(copy.from, copy.to);
    std::vector<ForwardSequence> batch;
    for (const auto& s : step.sequences)
      batch.push_back({std::span(s.sequence->tokens).subspan(s.first_position, s.num_tokens), s.first_position,
                       s.sequence->block_table, s.num_logits()});
    auto logits = runner_.run(batch);
    const StepShape shape = step.shape;
    if (::testing::Test::HasFatalFailure()) return;
    hold_some(step);
    scheduler_.commit(step);
    for (const auto& s : step.sequences) {
      const auto rows = logits.first(s.num_logits() * kVocab);
      logits = logits.subspan(rows.size());
      check_scores(s, rows);
      if (s.samples && !s.sequence->is_held)
        sample(*s.sequence, rows.subspan(s.num_scored_rows * kVocab), s.num_drafts);
    }
    const double seconds = 0.01 + 0.0005 * static_cast<double>(shape.num_tokens);
    scheduler_.learn(shape, seconds);
    seconds_ += seconds;
    ASSERT_EQ(integrity(scheduler_), "") << "step " << num_steps_;
  }

  void check_plan(const Step& step) {
    int64_t num_tokens = 0;
    bool chunks_began = false;
    std::set<const Sequence*> planned;
    for (const auto& s : step.sequences) {
      num_tokens += s.num_tokens;
      ASSERT_GT(s.num_tokens, 0);
      ASSERT_TRUE(planned.insert(s.sequence).second);
      ASSERT_EQ(s.first_position, s.sequence->num_computed);
      if (!s.sequence->is_decoding()) chunks_began = true;
      if (chunks_began) continue;
      ASSERT_EQ(s.num_tokens, 1 + s.num_drafts);
    }
    ASSERT_LE(num_tokens, std::max(config_.max_num_batched_tokens, config_.max_num_seqs));
    ASSERT_EQ(num_tokens, step.shape.num_tokens);
    ASSERT_LE(scheduler_.num_running(), config_.max_num_seqs);
  }

  // The logits of each row are those of the whole context up to its position.
  void check_scores(const ScheduledSequence& s, std::span<const float> rows) {
    const int64_t first = s.first_position + s.num_tokens - s.num_logits();
    for (int64_t i = 0; i < s.num_scored_rows; ++i) {
      const auto context = std::span(s.sequence->tokens).first(first + i + 1);
      const auto row = rows.subspan(i * kVocab, kVocab);
      ASSERT_EQ(std::ranges::max_element(row) - row.begin(), script_(context));
    }
  }

  // Sample i takes the most likely token plus i, so that samples part and each has one known answer.
  void sample(Sequence& first, std::span<const float> rows, int num_drafts) {
    std::vector<Sequence*> sequences = {&first};
    const int num_tokens = answers_.at({first.request_id, first.sample_idx}).num_tokens;
    for (Sequence* sibling : scheduler_.fork(first)) {
      answers_[{sibling->request_id, sibling->sample_idx}] = {sibling, 1 + below(num_tokens)};
      sequences.push_back(sibling);
    }
    for (Sequence* sequence : sequences) {
      const auto drafts = sequence->drafts;
      for (int i = 0; append_best(*sequence, rows.subspan(i * kVocab, kVocab)) && i < num_drafts; ++i) {
        if (sequence->tokens.back() != drafts[i]) {
          ++num_rejected_;
          break;
        }
        ++num_accepted_;
        scheduler_.accept(*sequence);
      }
    }
  }

  // False: that was its last token, and it is gone.
  bool append_best(Sequence& sequence, std::span<const float> row) {
    const auto best = static_cast<TokenId>(std::ranges::max_element(row) - row.begin());
    scheduler_.append(sequence, (best + sequence.sample_idx) % kVocab);
    const auto answer = answers_.find({sequence.request_id, sequence.sample_idx});
    if (sequence.num_tokens() - sequence.num_prompt_tokens < answer->second.num_tokens) return true;
    check_answer(sequence);
    if (sequence.score_prompt) {
      EXPECT_EQ(sequence.num_scored, sequence.num_prompt_tokens - 1);
    }
    scheduler_.remove(sequence);
    answers_.erase(answer);
    ++num_finished_;
    return false;
  }

  void check_answer(const Sequence& sequence) {
    const std::span tokens(sequence.tokens);
    for (int64_t i = sequence.num_prompt_tokens; i < sequence.num_tokens(); ++i)
      ASSERT_EQ(tokens[i], (script_(tokens.first(i)) + sequence.sample_idx) % kVocab)
          << "request " << sequence.request_id << " sample " << sequence.sample_idx << " token "
          << i - sequence.num_prompt_tokens << " after " << sequence.num_preemptions << " preemptions";
  }

  DriverConfig config_;
  std::mt19937 random_;
  TokenScript script_;
  FakeRunner runner_;
  Scheduler scheduler_;
  std::array<std::vector<TokenId>, 3> stems_;
  std::map<std::pair<uint64_t, int>, Answer> answers_;  // by request and sample
  uint64_t next_id_ = 1;
  double seconds_ = 0;  // by this machine's clock
  int num_steps_ = 0, num_added_ = 0, num_finished_ = 0, num_cancelled_ = 0;
  int num_accepted_ = 0, num_rejected_ = 0;
};

}  // namespace retort::testing
