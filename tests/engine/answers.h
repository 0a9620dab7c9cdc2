// Collects the events of requests, and waits for their ends.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/request.h"

namespace retort::testing {

struct Answer {
  std::vector<TokenId> tokens = {};
  std::vector<SampledToken> sampled = {};
  std::optional<FinishReason> finish = {};
  std::optional<TokenId> stop_token = {};
  std::string error = {};
  ErrorKind error_kind = ErrorKind::kInternal;
  int num_cached_tokens = 0;
  int num_events = 0;
  std::vector<float> embedding = {};
  std::vector<std::vector<TokenLogprob>> prompt_logprobs = {};
};

// One request's answers, one a sample. Copies share what they collect: on_event() may outlive this.
class Answers {
 public:
  explicit Answers(int num_samples = 1) : state_(std::make_shared<State>()) { state_->answers.resize(num_samples); }

  std::function<void(TokenEvent)> on_event() const {
    return [state = state_](TokenEvent event) {
      const std::lock_guard lock(state->mutex);
      Answer& answer = state->answers.at(event.sample_idx);
      EXPECT_FALSE(answer.finish) << "an event after the last";
      for (auto& token : event.tokens) {
        answer.tokens.push_back(token.id);
        answer.sampled.push_back(std::move(token));
      }
      answer.finish = event.finish;
      answer.stop_token = event.stop_token;
      answer.error = event.error;
      answer.error_kind = event.error_kind;
      answer.num_cached_tokens = event.num_cached_tokens;
      answer.embedding = std::move(event.embedding);
      if (++answer.num_events > 1)
        EXPECT_TRUE(event.prompt_logprobs.empty()) << "given in the first event only";
      else
        answer.prompt_logprobs = std::move(event.prompt_logprobs);
      state->changed.notify_all();
    };
  }

  // Waits for the end of every sample.
  std::vector<Answer> wait() const {
    std::unique_lock lock(state_->mutex);
    const bool done = state_->changed.wait_for(lock, std::chrono::seconds(60), [&] {
      return std::ranges::all_of(state_->answers, [](const Answer& a) { return a.finish.has_value(); });
    });
    EXPECT_TRUE(done) << "no end within a minute";
    return state_->answers;
  }
  Answer wait_one() const { return wait().front(); }
  void wait_for_tokens(size_t num_tokens) const {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(60),
                                         [&] { return state_->answers[0].tokens.size() >= num_tokens; }));
  }
  std::vector<Answer> so_far() const {
    const std::lock_guard lock(state_->mutex);
    return state_->answers;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Answer> answers;
  };
  std::shared_ptr<State> state_;
};

}  // namespace retort::testing
