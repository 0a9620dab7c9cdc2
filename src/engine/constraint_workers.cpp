#include "engine/constraint_workers.h"

#include <chrono>

#include "base/thread_name.h"

namespace retort {
namespace {

constexpr int kNumThreads = 4;
constexpr double kSlowSeconds = 0.05;

}  // namespace

ConstraintWorkers::ConstraintWorkers(std::function<void()> on_done) : on_done_(std::move(on_done)) {
  for (int i = 0; i < kNumThreads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) {
      name_this_thread("constraint");
      work(stop);
    });
}

void ConstraintWorkers::run(double seconds, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  (seconds < kSlowSeconds ? quick_ : slow_).waiting.push_back(std::move(work));
  wake_.notify_one();
}

ConstraintWorkers::Lane* ConstraintWorkers::next_lane() {
  for (Lane* lane : {&quick_, &slow_})
    if (!lane->waiting.empty() && lane->num_running < kNumThreads - 1) return lane;
  return nullptr;
}

void ConstraintWorkers::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, stop, [this] { return next_lane() != nullptr; });
    if (stop.stop_requested()) return;
    Lane& lane = *next_lane();
    auto next = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    ++lane.num_running;
    lock.unlock();
    next();
    on_done_();
    next = {};
    lock.lock();
    --lane.num_running;
    wake_.notify_one();  // this thread may take another lane's work
  }
}

FollowedConstraint::FollowedConstraint(std::unique_ptr<TokenConstraint> constraint, ConstraintWorkers& workers)
    : state_(std::make_shared<State>()), workers_(&workers) {
  state_->constraint = std::move(constraint);
  begin({});
}

void FollowedConstraint::begin(std::vector<TokenId> tokens) {
  workers_->run(state_->seconds, [state = state_, tokens = std::move(tokens)] {
    const auto start = std::chrono::steady_clock::now();
    state->next = state->constraint->follow(tokens);
    state->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
  state->seconds = state_->seconds;
  state->is_ready = true;
  return FollowedConstraint(std::move(state), *workers_);
}

}  // namespace retort
