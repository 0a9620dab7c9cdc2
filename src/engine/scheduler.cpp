#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

// Each step brings a prompt on by so much, also where the decodes alone use up the time: nobody waits for ever. By
// less, but no less than half of it, where that keeps the step within twice its time, less what predictions are off by.
constexpr int64_t kMinChunkTokens = 16, kFewestChunkTokens = kMinChunkTokens / 2;
constexpr double kMostOverrun = 1.9;
// Levels of priority that count in full; of those beyond each doubling counts as one.
constexpr int64_t kFullLevels = 6;
constexpr int64_t kPanelRows = 8;  // of all sequences of a step together, as the kernels take them

// However long a prompt, it waits no longer than this for those that came after it.
constexpr long long kMaxDeferredMs = 60'000;

int64_t num_blocks_for(int64_t num_tokens) { return (num_tokens + kBlockTokens - 1) / kBlockTokens; }

// What a priority moves a request by: were all levels to count in full, a large number would be a sentence to wait for
// ever.
int64_t shift_ms(int64_t priority, int64_t level_ms) {
  const int64_t levels = std::abs(priority), beyond = levels - kFullLevels;
  if (beyond <= 0) return priority * level_ms;
  const double counted = kFullLevels + std::log2(1.0 + static_cast<double>(beyond));
  const auto shift = static_cast<int64_t>(counted * static_cast<double>(level_ms));
  return priority < 0 ? -shift : shift;
}

bool is_prompt(const std::unique_ptr<Sequence>& sequence) { return !sequence->is_decoding() && !sequence->is_held; }

// How far the prefix cache may bring it: the newest token is always left to compute, or there would be no logits.
int64_t num_reusable(const Sequence& sequence) {
  const bool is_scored = !sequence.score_prompt || sequence.num_scored >= sequence.num_prompt_tokens - 1;
  return is_scored ? sequence.num_tokens() - 1 : std::min(sequence.num_tokens() - 1, sequence.num_scored);
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config, int32_t num_blocks, bool enable_prefix_caching,
                     BlockPool::HashFunction hash)
    : config_(config), pool_(num_blocks, enable_prefix_caching, hash) {
  RETORT_CHECK(config_.max_num_seqs > 0 && config_.max_scored_rows > 0);
  config_.max_num_batched_tokens = std::max(config_.max_num_batched_tokens, config_.max_num_seqs);
}

Sequence& Scheduler::add(NewSequence request) {
  RETORT_CHECK(!request.prompt.empty() && num_blocks_for(std::ssize(request.prompt)) <= pool_.num_blocks());
  RETORT_CHECK(request.num_samples >= 1 && request.num_samples <= config_.max_num_seqs);
  auto sequence = std::make_unique<Sequence>();
  sequence->request_id = request.request_id;
  sequence->num_samples = request.num_samples;
  sequence->arrival = num_arrivals_++;
  sequence->cache_salt = std::move(request.cache_salt);
  sequence->score_prompt = request.score_prompt;
  sequence->num_prompt_tokens = std::ssize(request.prompt);
  sequence->tokens = std::move(request.prompt);
  sequence->arrived_ms = request.arrived_ms + shift_ms(request.priority, config_.priority_ageing_ms);
  match_prefix(*sequence);
  sequence->num_found = sequence->num_computed;
  give_back_prefix(*sequence);
  set_due(*sequence);
  return **waiting_.insert(std::move(sequence)).first;
}

// By what its prompt takes alone: a short one is not made to wait for long ones that came just before it, which costs
// those little.
void Scheduler::set_due(Sequence& sequence) const {
  StepShape shape;
  shape.add_run(sequence.num_found, sequence.num_prompt_tokens - sequence.num_found);
  sequence.due_ms = sequence.arrived_ms + std::min(kMaxDeferredMs, std::llround(1000 * cost_.predict(shape)));
}

void Scheduler::learn(const StepShape& shape, double seconds) {
  const bool was_settled = cost_.is_settled();
  cost_.learn(shape, seconds);
  if (!was_settled) rank_anew();
}

// Those that came while little was known.
void Scheduler::rank_anew() {
  for (const auto& sequence : running_) set_due(*sequence);
  std::ranges::sort(running_, {}, [](const auto& s) { return s->rank(); });
  decltype(waiting_) waiting;
  while (!waiting_.empty()) {
    auto node = waiting_.extract(waiting_.begin());
    set_due(*node.value());
    waiting.insert(std::move(node));
  }
  waiting_ = std::move(waiting);
}

const Step& Scheduler::plan() {
  step_.copies.clear();
  step_.sequences.clear();
  step_.shape = {};
  scored_rows_left_ = config_.max_scored_rows;
  has_chunk_ = false;
  plan_decodes();
  plan_drafts();
  plan_chunks();
  admit();
  for (const auto& s : step_.sequences)
    s.sequence->tokens.insert(s.sequence->tokens.end(), s.sequence->drafts.begin(),
                              s.sequence->drafts.begin() + s.num_drafts);
  RETORT_CHECK(!step_.sequences.empty() || !has_work() ||
               std::ranges::any_of(running_, [](const auto& s) { return s->is_held; }));
  return step_;
}

// Best rank first, while those preempted are taken from the other end: what is planned stays planned. Answers that got
// more than one token at once run as chunks, but their blocks are found here.
void Scheduler::plan_decodes() {
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.is_held || sequence.num_tokens() == sequence.num_prompt_tokens || !reserve_slots(sequence)) continue;
    if (sequence.is_decoding()) schedule({&sequence, sequence.num_computed, 1, 0, true});
  }
}

// In rounds, so that every sequence's likeliest drafts go first. Prompts keep their room in the step.
void Scheduler::plan_drafts() {
  const bool has_prompts = !waiting_.empty() || std::ranges::any_of(running_, is_prompt);
  const int64_t max_tokens = config_.max_num_batched_tokens - (has_prompts ? kMinChunkTokens : 0);
  double expected_tokens = static_cast<double>(step_.sequences.size());
  for (bool added = cost_.knows(); added;) {
    added = false;
    for (auto& scheduled : step_.sequences) {
      if (step_.shape.num_tokens >= max_tokens) return;
      if (!pays(scheduled, expected_tokens) || !add_draft(scheduled)) continue;
      expected_tokens += std::pow(scheduled.sequence->draft_acceptance, scheduled.num_drafts);
      added = true;
    }
  }
}

// One more draft may win tokens at a better price than the step pays for those it is sure of.
bool Scheduler::pays(const ScheduledSequence& scheduled, double expected_tokens) const {
  const Sequence& sequence = *scheduled.sequence;
  if (scheduled.num_drafts == std::ssize(sequence.drafts)) return false;
  StepShape longer = step_.shape;
  longer.add_run(scheduled.first_position + scheduled.num_tokens, 1);
  const double seconds = cost_.predict(step_.shape), more_seconds = cost_.predict(longer) - seconds;
  return std::pow(sequence.draft_acceptance, scheduled.num_drafts + 1) * seconds >= expected_tokens * more_seconds;
}

// Nobody is preempted for a guess: false where no block is free for it.
bool Scheduler::add_draft(ScheduledSequence& scheduled) {
  Sequence& sequence = *scheduled.sequence;
  const int64_t position = scheduled.first_position + scheduled.num_tokens;
  if (position / kBlockTokens == std::ssize(sequence.block_table)) {
    const int32_t block = pool_.allocate();
    if (block == kNoBlock) return false;
    sequence.block_table.push_back(block);
  }
  ++scheduled.num_drafts;
  ++scheduled.num_tokens;
  step_.shape.add_run(position, 1);
  return true;
}

void Scheduler::schedule(const ScheduledSequence& scheduled) {
  step_.sequences.push_back(scheduled);
  step_.shape.add_run(scheduled.first_position, scheduled.num_tokens);
}

// Those that wait and are due before a prompt under way start first, and go before it.
void Scheduler::plan_chunks() {
  if (const auto under_way = std::ranges::find_if(running_, is_prompt); under_way != running_.end()) {
    const auto rank = (*under_way)->rank();
    while (!waiting_.empty() && (*waiting_.begin())->rank() < rank && start_next() != nullptr) continue;
  }
  for (const auto& sequence : running_)
    if (is_prompt(sequence)) plan_chunk(*sequence);
}

void Scheduler::admit() {
  while (!waiting_.empty() && tokens_left(0) > 0) {
    Sequence* sequence = start_next();
    if (sequence == nullptr) return;
    plan_chunk(*sequence);
  }
}

// In order, and the first that must wait holds back those behind it: a long prompt is not overtaken for ever by short
// ones. Null: it must wait.
Sequence* Scheduler::start_next() {
  const auto first = waiting_.begin();
  Sequence& sequence = **first;
  if (num_seats_taken() + sequence.num_samples > config_.max_num_seqs || !try_to_start(sequence)) return nullptr;
  insert_running(std::move(waiting_.extract(first).value()));
  return &sequence;
}

// Takes blocks for all tokens it has, so that a prompt once begun never waits for memory half-way.
bool Scheduler::try_to_start(Sequence& sequence) {
  match_prefix(sequence);
  const int64_t num_needed = num_blocks_for(sequence.num_tokens()) - std::ssize(sequence.block_table);
  // Each running sequence may need its next block soon; without that room the newcomer would be the first to be
  // preempted.
  if (num_needed + (running_.empty() ? 0 : num_running()) > pool_.num_free()) {
    give_back_prefix(sequence);
    return false;
  }
  for (int64_t i = 0; i < num_needed; ++i) sequence.block_table.push_back(pool_.allocate());
  match_beginning(sequence);
  return true;
}

// Makes the place of the newest token writable: a block of its own at that position. False: the sequence itself was
// preempted.
bool Scheduler::reserve_slot(Sequence& sequence) {
  auto& table = sequence.block_table;
  const int64_t slot_block = sequence.num_computed / kBlockTokens;
  if (slot_block == std::ssize(table)) {
    const int32_t block = allocate_or_preempt(sequence);
    if (block != kNoBlock) table.push_back(block);
    return block != kNoBlock;
  }
  if (pool_.num_refs(table[slot_block]) == 1) return true;
  const int32_t copy = allocate_or_preempt(sequence);
  if (copy == kNoBlock) return false;
  if (pool_.num_refs(table[slot_block]) == 1) {  // the others were preempted to find the copy's block
    pool_.release(copy);
    return true;
  }
  step_.copies.push_back({table[slot_block], copy});
  pool_.release(table[slot_block]);
  table[slot_block] = copy;
  return true;
}

// The same for every token after it that is still to be computed.
bool Scheduler::reserve_slots(Sequence& sequence) {
  if (!reserve_slot(sequence)) return false;
  while (std::ssize(sequence.block_table) < num_blocks_for(sequence.num_tokens())) {
    const int32_t block = allocate_or_preempt(sequence);
    if (block == kNoBlock) return false;
    sequence.block_table.push_back(block);
  }
  return true;
}

// kNoBlock: no other than `for_whom` was left to preempt, and so it was.
int32_t Scheduler::allocate_or_preempt(const Sequence& for_whom) {
  while (true) {
    if (const int32_t block = pool_.allocate(); block != kNoBlock) return block;
    const bool itself = running_.back().get() == &for_whom;
    RETORT_CHECK(!itself || running_.size() > 1);  // one sequence alone always fits
    preempt_last();
    if (itself) return kNoBlock;
  }
}

void Scheduler::preempt_last() {
  auto sequence = std::move(running_.back());
  running_.pop_back();
  give_back_blocks(*sequence);
  sequence->num_computed = 0;
  sequence->drafts.clear();
  sequence->is_held = false;
  ++sequence->num_preemptions;
  ++num_preemptions_;
  waiting_.insert(std::move(sequence));
}

void Scheduler::plan_chunk(Sequence& sequence) {
  match_prefix(sequence);
  const int64_t first = sequence.num_computed;
  int64_t num_tokens = std::min(sequence.num_tokens() - first, tokens_left(first));
  int64_t num_scored_rows = 0;
  if (sequence.score_prompt) {
    // The newest prompt position needs no scoring: its logits are those that sample.
    const int64_t num_to_score = sequence.num_prompt_tokens - 1;
    if (sequence.num_scored < num_to_score)
      num_tokens = std::min(num_tokens, std::max<int64_t>(sequence.num_scored - first, 0) + scored_rows_left_);
    num_scored_rows =
        std::max<int64_t>(std::min(first + num_tokens, num_to_score) - std::max(first, sequence.num_scored), 0);
  }
  if (num_tokens <= 0) return;
  scored_rows_left_ -= num_scored_rows;
  has_chunk_ = true;
  schedule({&sequence, first, num_tokens, num_scored_rows, first + num_tokens == sequence.num_tokens()});
}

// What a step brings a prompt on by in any case. Alone it is in nobody's way.
int64_t Scheduler::least_chunk(int64_t first_position) const {
  if (step_.shape.num_tokens == 0) return kMinChunkTokens;
  const int64_t fitting = cost_.tokens_that_fit(step_.shape, first_position, kMostOverrun * config_.max_step_seconds);
  return fitting < kFewestChunkTokens ? kMinChunkTokens : std::min(fitting, kMinChunkTokens);
}

// What the budgets leave for a prompt that goes on from `first_position`.
int64_t Scheduler::tokens_left(int64_t first_position) const {
  const int64_t by_tokens = config_.max_num_batched_tokens - step_.shape.num_tokens;
  if (config_.max_step_seconds <= 0) return by_tokens;
  int64_t by_time = cost_.tokens_that_fit(step_.shape, first_position, config_.max_step_seconds);
  by_time = std::max<int64_t>(by_time - (step_.shape.num_tokens + by_time) % kPanelRows, 0);
  if (!has_chunk_) by_time = std::max(by_time, least_chunk(first_position));
  return std::min(by_tokens, by_time);
}

// Moves on over blocks that are cached, at admission and again before each chunk: what another sequence has computed in
// the meantime need not be computed twice.
void Scheduler::match_prefix(Sequence& sequence) {
  auto& table = sequence.block_table;
  while (true) {
    const int64_t i = sequence.num_computed / kBlockTokens, end = (i + 1) * kBlockTokens;
    if (end > num_reusable(sequence)) return;
    const int32_t block = pool_.find(content(sequence, i));
    if (block == kNoBlock) return;
    if (i < std::ssize(table)) {
      pool_.release(table[i]);
      table[i] = block;
    } else {
      table.push_back(block);
    }
    add_cached(sequence, end - sequence.num_computed);
  }
}

// After all that match whole: into a copy of a block that begins as the sequence goes on. So a conversation goes on
// from the very token at which its last answer ended. The copy is made before anything is written to what it is made
// of, though that be given to another in the same step.
void Scheduler::match_beginning(Sequence& sequence) {
  const int64_t block = sequence.num_computed / kBlockTokens;
  const int64_t num_tokens = std::min<int64_t>(num_reusable(sequence) - sequence.num_computed, kBlockTokens);
  if (num_tokens <= 0) return;
  const Beginning found = pool_.find_beginning(content(sequence, block, num_tokens));
  if (found.block == kNoBlock) return;
  step_.copies.push_back({found.block, sequence.block_table[block]});
  add_cached(sequence, found.num_tokens);
}

void Scheduler::add_cached(Sequence& sequence, int64_t num_tokens) {
  sequence.num_computed += num_tokens;
  if (sequence.num_preemptions == 0) sequence.num_cached_tokens += num_tokens;
}

void Scheduler::give_back_blocks(Sequence& sequence) {
  const int64_t last = sequence.num_computed / kBlockTokens, num_tokens = sequence.num_computed % kBlockTokens;
  if (num_tokens > 0 && pool_.num_refs(sequence.block_table[last]) == 1)
    pool_.cache_tail(sequence.block_table[last], content(sequence, last, num_tokens));
  pool_.release_table(sequence.block_table);
}

// Of a sequence that has nothing but what match_prefix found.
void Scheduler::give_back_prefix(Sequence& sequence) {
  pool_.release_table(sequence.block_table);
  sequence.num_computed = 0;
  if (sequence.num_preemptions == 0) sequence.num_cached_tokens = 0;
}

void Scheduler::commit(const Step& step) {
  for (const auto& scheduled : step.sequences) {
    Sequence& sequence = *scheduled.sequence;
    sequence.tokens.resize(sequence.tokens.size() - scheduled.num_drafts);
    sequence.num_scored += scheduled.num_scored_rows;
    advance(sequence, scheduled.num_tokens - scheduled.num_drafts - (sequence.is_held ? 1 : 0));
  }
}

void Scheduler::advance(Sequence& sequence, int64_t num_tokens) {
  const int64_t first_new_block = sequence.num_computed / kBlockTokens;
  sequence.num_computed += num_tokens;
  for (int64_t i = first_new_block; i < sequence.num_computed / kBlockTokens; ++i)
    sequence.block_table[i] = pool_.cache(sequence.block_table[i], content(sequence, i));
}

std::vector<Sequence*> Scheduler::fork(Sequence& first) {
  std::vector<Sequence*> siblings;
  const int num_samples = std::exchange(first.num_samples, 1);
  for (int i = 1; i < num_samples; ++i) {
    auto sibling = std::make_unique<Sequence>(first);
    sibling->sample_idx = i;
    for (int32_t block : sibling->block_table) pool_.add_ref(block);
    siblings.push_back(sibling.get());
    insert_running(std::move(sibling));
  }
  return siblings;
}

void Scheduler::remove(Sequence& sequence) {
  give_back_blocks(sequence);
  if (const auto waiting = waiting_.find(sequence); waiting != waiting_.end()) {
    waiting_.erase(waiting);
    return;
  }
  const auto running = std::ranges::lower_bound(running_, sequence.rank(), {}, [](const auto& s) { return s->rank(); });
  RETORT_CHECK(running != running_.end() && running->get() == &sequence);
  running_.erase(running);
}

BlockContent Scheduler::content(const Sequence& sequence, int64_t block, int64_t num_tokens) const {
  return {.parent = block == 0 ? kNoBlock : sequence.block_table[block - 1],
          .salt = sequence.cache_salt,
          .tokens = std::span(sequence.tokens).subspan(block * kBlockTokens, num_tokens)};
}

void Scheduler::insert_running(std::unique_ptr<Sequence> sequence) {
  const auto place = std::ranges::upper_bound(running_, sequence->rank(), {}, [](const auto& s) { return s->rank(); });
  running_.insert(place, std::move(sequence));
}

std::vector<uint64_t> Scheduler::running_requests() const {
  std::vector<uint64_t> ids;
  for (const auto& sequence : running_) ids.push_back(sequence->request_id);
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  return ids;
}

int Scheduler::num_seats_taken() const {
  int seats = 0;
  for (const auto& sequence : running_) seats += sequence->num_samples;
  return seats;
}

Status Scheduler::check_integrity() const {
  std::vector<int32_t> refs(pool_.num_blocks(), 0);
  for (const auto& sequence : running_) {
    const Sequence& s = *sequence;
    for (int32_t block : s.block_table) ++refs[block];
    if (s.num_computed >= s.num_tokens() || num_blocks_for(s.num_computed) > std::ssize(s.block_table))
      return fail(ErrorKind::kInternal, "[scheduler] request {} sample {}: {} of {} tokens computed in {} blocks",
                  s.request_id, s.sample_idx, s.num_computed, s.num_tokens(), s.block_table.size());
  }
  for (const auto& s : waiting_)
    if (!s->block_table.empty() || s->num_computed != 0)
      return fail(ErrorKind::kInternal, "[scheduler] request {} sample {}: waits and holds {} blocks", s->request_id,
                  s->sample_idx, s->block_table.size());
  if (!std::ranges::is_sorted(running_, {}, [](const auto& s) { return s->rank(); }))
    return fail(ErrorKind::kInternal, "[scheduler] running sequences: expected best rank first");
  if (num_seats_taken() > config_.max_num_seqs)
    return fail(ErrorKind::kInternal, "[scheduler] running sequences: expected at most {}, found {}",
                config_.max_num_seqs, num_seats_taken());
  return pool_.check_integrity(refs);
}

}  // namespace retort
