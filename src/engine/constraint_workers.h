// Constraints are followed on threads of their own while the model runs, so that neither a step nor another answer
// waits for a slow one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/token_constraint.h"

namespace retort {

class ConstraintWorkers {
 public:
  // on_done: called on a worker after each piece of work. Throws std::system_error where no threads are to be had.
  explicit ConstraintWorkers(std::function<void()> on_done);

  // `seconds`: what such work took the last time. What is quick goes before what is slow, each in its order, and a
  // thread is kept for either.
  void run(double seconds, std::function<void()> work);

 private:
  struct Lane {
    std::deque<std::function<void()>> waiting;
    int num_running = 0;
  };
  void work(const std::stop_token& stop);
  Lane* next_lane();  // null: nothing may begin

  std::function<void()> on_done_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Lane quick_, slow_;
  std::vector<std::jthread> threads_;  // last: its end waits for the work that runs and drops what waits
};

// One answer's constraint and what it says comes next. Engine thread.
class FollowedConstraint {
 public:
  // Begins to follow. `workers` must outlive the work, not the object.
  FollowedConstraint(std::unique_ptr<TokenConstraint> constraint, ConstraintWorkers& workers);

  bool is_ready() const { return state_->is_ready.load(std::memory_order_acquire); }
  // The rest only when ready.
  Result<NextTokens>& next() { return state_->next; }
  void follow(std::vector<TokenId> tokens);  // no longer ready, until a worker has done it
  Result<FollowedConstraint> clone() const;

 private:
  struct State {
    std::unique_ptr<TokenConstraint> constraint;
    Result<NextTokens> next;
    double seconds = 0;  // of the last following
    std::atomic<bool> is_ready{false};
  };
  FollowedConstraint(std::shared_ptr<State> state, ConstraintWorkers& workers)
      : state_(std::move(state)), workers_(&workers) {}
  void begin(std::vector<TokenId> tokens);

  std::shared_ptr<State> state_;  // shared with the work
  ConstraintWorkers* workers_;
};

}  // namespace retort
