#include "engine/constraint_workers.h"

#include "base/thread_name.h"

namespace retort {
namespace {

constexpr int kNumThreads = 4;  // so many slow grammars before another one waits

}  // namespace

ConstraintWorkers::ConstraintWorkers(std::function<void()> on_done) : on_done_(std::move(on_done)) {
  for (int i = 0; i < kNumThreads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) {
      name_this_thread("constraint");
      work(stop);
    });
}

void ConstraintWorkers::run(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  wake_.notify_one();
}

void ConstraintWorkers::work(const std::stop_token& stop) {
  while (true) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, stop, [this] { return !queue_.empty(); });
      if (stop.stop_requested()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
    on_done_();
  }
}

FollowedConstraint::FollowedConstraint(std::unique_ptr<TokenConstraint> constraint, ConstraintWorkers& workers)
    : state_(std::make_shared<State>()), workers_(&workers) {
  state_->constraint = std::move(constraint);
  begin({});
}

void FollowedConstraint::begin(std::vector<TokenId> tokens) {
  workers_->run([state = state_, tokens = std::move(tokens)] {
    state->next = state->constraint->follow(tokens);
    state->is_ready.store(true, std::memory_order_release);
  });
}

void FollowedConstraint::follow(std::vector<TokenId> tokens) {
  state_->is_ready.store(false, std::memory_order_relaxed);
  begin(std::move(tokens));
}

Result<FollowedConstraint> FollowedConstraint::clone() const {
  auto state = std::make_shared<State>();
  RETORT_ASSIGN(state->constraint, state_->constraint->clone());
  state->next = state_->next;
  state->is_ready = true;
  return FollowedConstraint(std::move(state), *workers_);
}

}  // namespace retort
