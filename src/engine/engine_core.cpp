#include "engine/engine_core.h"

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "engine/philox.h"

namespace retort {
namespace {

constexpr uint64_t kSeedDraw = 0x73656564;  // sets the engine's own draws apart from those of samples

bool contains(const std::vector<TokenId>& ids, TokenId id) { return std::ranges::find(ids, id) != ids.end(); }

void log_failure(RequestId id, const Error& error) {
  if (error.kind == ErrorKind::kTooLarge)  // the client's own grammar, and no fault of the machine
    log::info("[engine] request {} ends: its constraint is too complex to follow", id);
  else if (error.kind == ErrorKind::kBadInput)
    log::info("[engine] request {} ends: {}", id, error.message);
  else
    log::error("[engine] request {}: {}", id, error.message);
}

}  // namespace

EngineCore::EngineCore(const EngineConfig& config, ModelRunner& runner, std::function<void()> on_constraint,
                       std::function<Clock::time_point()> now)
    : config_(config),
      runner_(runner),
      now_(std::move(now)),
      vocab_size_(runner.vocab_size()),
      scheduler_({.max_num_seqs = config.max_num_seqs,
                  .max_num_batched_tokens = config.max_num_batched_tokens,
                  .max_step_seconds = config.max_step_ms / 1e3},
                 runner.num_blocks(), config.enable_prefix_caching),
      sampler_(vocab_size_),
      constraint_workers_(std::move(on_constraint)) {
  RETORT_CHECK(config.speculative.num_speculative_tokens <= kMaxDrafts);
}

void EngineCore::add(RequestId id, EngineRequest request) {
  Live live;
  live.params = std::move(request.params);
  live.on_event = std::move(request.on_event);
  live.deadline = request.deadline;
  live.stop_tokens = live.params.stop_token_ids;
  if (!live.params.ignore_eos)
    live.stop_tokens.insert(live.stop_tokens.end(), config_.stop_tokens.begin(), config_.stop_tokens.end());
  live.seed = live.params.seed.value_or(random_bits(config_.seed, kSeedDraw, id));
  live.samples.resize(request.num_samples);
  const RepetitionRule guard = repetition_guard(live.params.ignore_eos ? 0 : config_.repetition_guard);
  for (Sample& sample : live.samples) sample.repetition = RepetitionDetector(live.params.repetition.value_or(guard));
  live.samples[0].counts = TokenCounts(live.params, request.prompt);
  if (live.params.prompt_logprobs) live.prompt_logprobs.resize(1);
  live.pooling = request.pooling;
  const bool needs_every_row = live.params.prompt_logprobs || live.pooling == Pooling::kMean;
  if (live.deadline) deadlines_.emplace(*live.deadline, id);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(now_().time_since_epoch());
  live.samples[0].sequence = &scheduler_.add({.request_id = id,
                                              .prompt = std::move(request.prompt),
                                              .num_samples = request.num_samples,
                                              .priority = request.priority,
                                              .arrived_ms = now.count(),
                                              .cache_salt = std::move(request.cache_salt),
                                              .score_prompt = needs_every_row});
  Live& added = live_.emplace(id, std::move(live)).first->second;
  if (request.constraint == nullptr) return;
  auto constraint = request.constraint->clone();
  if (!constraint) return end(id, FinishReason::kError, constraint.error().message, constraint.error().kind);
  added.samples[0].constraint.emplace(std::move(*constraint), constraint_workers_);
}

void EngineCore::end(RequestId id, FinishReason reason, std::string_view why, ErrorKind kind) {
  const auto it = live_.find(id);
  if (it == live_.end()) return;
  for (size_t i = 0; i < it->second.samples.size(); ++i) end_sample(it->second, i, reason, why, kind);
  forget_if_finished(it);
}

void EngineCore::end_sample(RequestId id, int sample_idx, FinishReason reason) {
  const auto it = live_.find(id);
  if (it == live_.end()) return;
  if (!has_parted(it->second.samples[sample_idx])) return;
  end_sample(it->second, static_cast<size_t>(sample_idx), reason, {}, ErrorKind::kInternal);
  forget_if_finished(it);
}

// Before it has a token its prompt is the other samples' as well.
bool EngineCore::has_parted(const Sample& sample) {
  return sample.sequence != nullptr && sample.sequence->num_tokens() > sample.sequence->num_prompt_tokens;
}

void EngineCore::end_sample(Live& live, size_t sample_idx, FinishReason reason, std::string_view why, ErrorKind kind) {
  Sample& sample = live.samples[sample_idx];
  if (sample.finished) return;
  TokenEvent event{
      .sample_idx = static_cast<int>(sample_idx), .finish = reason, .error = std::string(why), .error_kind = kind};
  event.num_cached_tokens = live.num_cached_tokens;
  finish_sample(sample, event);
  tell(live, std::move(event));
}

void EngineCore::end_all(FinishReason reason, std::string_view why) {
  std::vector<RequestId> ids;
  for (const auto& [id, live] : live_) ids.push_back(id);
  for (RequestId id : ids) end(id, reason, why);
}

void EngineCore::abandon(std::string_view why) {
  for (const auto& [id, live] : live_)
    for (size_t i = 0; i < live.samples.size(); ++i)
      if (!live.samples[i].finished)
        tell(live, {.sample_idx = static_cast<int>(i), .finish = FinishReason::kError, .error = std::string(why)});
}

void EngineCore::expire(Clock::time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now)
    end(deadlines_.begin()->second, FinishReason::kAbort, "[engine] the request's deadline has passed");
}

bool EngineCore::plan_step() {
  const auto start = now_();
  settle_constraints();
  if (config_.speculative.num_speculative_tokens > 0)
    for (auto& [id, live] : live_)
      for (Sample& sample : live.samples)
        if (sample.sequence && !sample.constraint && sample.sequence->is_decoding()) propose(live, sample);
  step_ = &scheduler_.plan();
  mark_scheduled(start);
  counters_.times.schedule += seconds_since(start);
  return !step_->sequences.empty();
}

// Before a step: what constraints have said in the meantime.
void EngineCore::settle_constraints() {
  for (auto it = live_.begin(); it != live_.end();) {
    const auto current = it++;  // that may go
    Live& live = current->second;
    for (Sample& sample : live.samples) {
      if (!sample.constraint || !sample.sequence || !sample.constraint->is_ready()) continue;
      scheduler_.release(*sample.sequence);
      if (const auto& next = sample.constraint->next(); !next)
        failed_.try_emplace({current->first, sample.sequence->sample_idx}, next.error());
      else if (sample.sequence->num_tokens() > sample.sequence->num_prompt_tokens)
        settle(live, sample);
    }
    forget_if_finished(current);
  }
  end_failed();
}

// The tokens that a constraint forces are given, and the answer ends where it is complete. True: that leaves nothing to
// sample in this step.
bool EngineCore::settle(Live& live, Sample& sample) {
  NextTokens& next = *sample.constraint->next();
  const auto forced = std::exchange(next.forced, {});
  give_forced(live, sample, forced);
  if (sample.finished) return true;
  if (next.is_complete) {
    TokenEvent event{.sample_idx = sample.sequence->sample_idx, .finish = FinishReason::kStop};
    event.num_cached_tokens = live.num_cached_tokens;
    if (event.sample_idx == 0) event.prompt_logprobs = std::exchange(live.prompt_logprobs, {});
    finish_sample(sample, event);
    tell(live, std::move(event));
  }
  return next.is_complete || !forced.empty();
}

// Sequences that would get a token now, and of which it is not known yet which ones may be, sit out.
void EngineCore::hold_unready(const Step& step) {
  for (const auto& scheduled : step.sequences) {
    if (!scheduled.samples) continue;
    Sequence& sequence = *scheduled.sequence;
    const auto& constraint = live_.at(sequence.request_id).samples[sequence.sample_idx].constraint;
    if (constraint && !constraint->is_ready()) scheduler_.hold(sequence);
  }
}

void EngineCore::end_failed() {
  for (const auto& [failed, error] : std::exchange(failed_, {})) {
    const auto [id, sample_idx] = failed;
    const auto it = live_.find(id);
    if (it == live_.end()) continue;
    if (!std::exchange(it->second.has_failed, true)) log_failure(id, error);
    if (!has_parted(it->second.samples[sample_idx])) {
      end(id, FinishReason::kError, error.message, error.kind);
      continue;
    }
    end_sample(it->second, static_cast<size_t>(sample_idx), FinishReason::kError, error.message, error.kind);
    forget_if_finished(it);
  }
}

void EngineCore::mark_scheduled(Clock::time_point now) {
  for (const auto& scheduled : step_->sequences) {
    if (scheduled.sequence->is_decoding()) continue;
    Live& live = live_.at(scheduled.sequence->request_id);
    if (live.scheduled == Clock::time_point{}) live.scheduled = now;
  }
}

// No further than the answer may go.
void EngineCore::propose(const Live& live, Sample& sample) const {
  Sequence& sequence = *sample.sequence;
  const int64_t left = std::min(live.params.max_tokens - (sequence.num_tokens() - sequence.num_prompt_tokens),
                                config_.max_model_len - sequence.num_tokens());
  SpeculativeConfig config = config_.speculative;
  config.num_speculative_tokens = static_cast<int>(std::min<int64_t>(left - 1, config.num_speculative_tokens));
  const auto drafts = sample.speculator.propose(sequence.tokens, config);
  sequence.drafts.assign(drafts.begin(), drafts.end());
  sequence.draft_acceptance = sample.speculator.acceptance();
}

void EngineCore::run_step() {
  const Step& step = *step_;
  const StepShape shape = step.shape;
  const auto start = now_();
  std::span<const float> logits;
  try {
    logits = run(step);
  } catch (const std::exception& e) {
    return fail_step(step, e.what());
  } catch (...) {
    return fail_step(step, "an exception of unknown type");
  }
  const auto computed = now_();
  const double delivered_before = counters_.times.deliver;
  ++counters_.num_steps;
  hold_unready(step);
  scheduler_.commit(step);
  std::span<const float> hidden = runner_.hidden();
  for (const auto& scheduled : step.sequences) {
    if (live_.at(scheduled.sequence->request_id).pooling) {
      const auto rows = hidden.first(scheduled.num_logits() * runner_.hidden_size());
      hidden = hidden.subspan(rows.size());
      pool(scheduled, rows);
      continue;
    }
    const auto rows = logits.first(scheduled.num_logits() * vocab_size_);
    logits = logits.subspan(rows.size());
    if (scheduled.num_scored_rows > 0) score_prompt(scheduled, rows);
    if (!scheduled.samples || scheduled.sequence->is_held) continue;
    sample_all(scheduled, rows.subspan(scheduled.num_scored_rows * vocab_size_));
  }
  end_failed();  // only now: the step still names the other samples of a request that fails
  const double seconds = seconds_since(start);
  scheduler_.learn(shape, seconds);
  counters_.step_tokens.add(static_cast<double>(shape.num_tokens));
  counters_.step_seconds.add(seconds);
  counters_.times.model += std::chrono::duration<double>(computed - start).count();
  counters_.times.sample += seconds_since(computed) - (counters_.times.deliver - delivered_before);
}

std::span<const float> EngineCore::run(const Step& step) {
  for (const auto& copy : step.copies) runner_.copy_block(copy.from, copy.to);
  batch_.clear();
  int64_t num_rows = 0;
  for (const auto& s : step.sequences) {
    batch_.push_back({.tokens = std::span(s.sequence->tokens).subspan(s.first_position, s.num_tokens),
                      .first_position = s.first_position,
                      .block_table = s.sequence->block_table,
                      .num_logits = s.num_logits(),
                      .wants_hidden = live_.at(s.sequence->request_id).pooling.has_value()});
    if (!batch_.back().wants_hidden) num_rows += s.num_logits();
  }
  const auto logits = runner_.run(batch_);
  RETORT_CHECK(std::ssize(logits) == num_rows * vocab_size_);
  return logits;
}

// What the step was to store is not there, so its sequences cannot go on; the others' blocks are untouched.
void EngineCore::fail_step(const Step& step, std::string_view why) {
  std::set<RequestId> ids;
  for (const auto& s : step.sequences) ids.insert(s.sequence->request_id);
  log::error("[engine] step of {} tokens: {}; {} requests end with an error", step.shape.num_tokens, why, ids.size());
  for (RequestId id : ids) end(id, FinishReason::kError, why);
}

// hidden [num_logits, hidden_size]. The rows are added in their order, so the sum does not depend on the chunks.
void EngineCore::pool(const ScheduledSequence& scheduled, std::span<const float> hidden) {
  const auto it = live_.find(scheduled.sequence->request_id);
  Live& live = it->second;
  const auto size = static_cast<size_t>(runner_.hidden_size());
  live.embedding.resize(size);
  for (; !hidden.empty(); hidden = hidden.subspan(size))
    for (size_t i = 0; i < size; ++i) live.embedding[i] += hidden[i];
  if (!scheduled.samples) return;
  Sequence& sequence = *scheduled.sequence;
  if (live.pooling == Pooling::kMean)
    for (float& value : live.embedding) value /= static_cast<float>(sequence.num_prompt_tokens);
  RETORT_CHECK(finish_prompt(live, sequence).has_value());  // nothing binds it
  TokenEvent event{.finish = FinishReason::kStop, .num_cached_tokens = live.num_cached_tokens};
  event.embedding = std::move(live.embedding);
  finish_sample(live.samples[0], event);
  tell(live, std::move(event));
  forget_if_finished(it);
}

void EngineCore::score_prompt(const ScheduledSequence& scheduled, std::span<const float> logits) {
  const Sequence& sequence = *scheduled.sequence;
  Live& live = live_.at(sequence.request_id);
  const int64_t first = scheduled.first_position + scheduled.num_tokens - scheduled.num_logits();
  for (int64_t i = 0; i < scheduled.num_scored_rows; ++i)
    live.prompt_logprobs.push_back(sampler_.prompt_logprobs(
        logits.subspan(i * vocab_size_, vocab_size_), sequence.tokens[first + i + 1], *live.params.prompt_logprobs));
}

void EngineCore::sample_all(const ScheduledSequence& scheduled, std::span<const float> logits) {
  Sequence& first = *scheduled.sequence;
  const auto it = live_.find(first.request_id);
  Live& live = it->second;
  const bool prompt_is_new = first.num_tokens() == first.num_prompt_tokens;
  if (prompt_is_new)
    if (const Status status = finish_prompt(live, first); !status) {
      failed_.try_emplace({it->first, 0}, status.error());
      return;
    }
  const size_t begin = prompt_is_new ? 0 : first.sample_idx, end_idx = prompt_is_new ? live.samples.size() : begin + 1;
  for (size_t i = begin; i < end_idx; ++i)
    if (const Status status = sample_run(live, live.samples[i], logits, scheduled.num_drafts); !status)
      failed_.try_emplace({it->first, static_cast<int>(i)}, status.error());
  forget_if_finished(it);
}

// logits [1 + num_drafts, vocab_size]: of the newest token and of the drafts after it. A row counts while the drafts
// before it are what was sampled, so the tokens are those that would have come one step at a time.
Status EngineCore::sample_run(Live& live, Sample& sample, std::span<const float> logits, int num_drafts) {
  if (sample.constraint) {
    if (const auto& next = sample.constraint->next(); !next) return tl::unexpected(next.error());
    if (settle(live, sample)) return {};
  }
  const std::vector<TokenId> drafts = sample.sequence->drafts;
  counters_.drafts += num_drafts > 0 ? 1 : 0;
  counters_.draft_tokens += num_drafts;
  for (int i = 0;; ++i) {
    RETORT_TRY(sample_one(live, sample, logits.subspan(i * vocab_size_, vocab_size_)));
    if (sample.finished || i == std::ssize(drafts)) return {};
    const bool right = sample.sequence->tokens.back() == drafts[i];
    if (i < num_drafts || i == 0) sample.speculator.judge(right);
    if (!right || i == num_drafts) return {};
    ++counters_.accepted_at[i];
    scheduler_.accept(*sample.sequence);
  }
}

// The prompt has been computed: its samples part.
Status EngineCore::finish_prompt(Live& live, Sequence& first) {
  live.num_cached_tokens = static_cast<int>(first.num_cached_tokens);
  counters_.prompt_tokens += first.num_prompt_tokens;
  counters_.cached_prompt_tokens += first.num_cached_tokens;
  for (Sequence* sibling : scheduler_.fork(first)) {
    Sample& sample = live.samples[sibling->sample_idx];
    sample.sequence = sibling;
    sample.counts = live.samples[0].counts;
  }
  for (Sample& sample : std::span(live.samples).subspan(1)) {
    if (!live.samples[0].constraint) break;
    RETORT_ASSIGN(sample.constraint, live.samples[0].constraint->clone());
  }
  return {};
}

Status EngineCore::sample_one(Live& live, Sample& sample, std::span<const float> logits) {
  Sequence& sequence = *sample.sequence;
  std::optional<SampledToken> token;
  if (live.params.max_tokens > 0) {
    SampleInput input{.params = live.params,
                      .generated = std::span(sequence.tokens).subspan(sequence.num_prompt_tokens),
                      .counts = sample.counts,
                      .stop_tokens = live.stop_tokens,
                      .seed = live.seed,
                      .sample_idx = sequence.sample_idx,
                      .position = sequence.num_tokens()};
    if (sample.constraint) input.allowed = sample.constraint->next()->allowed;
    RETORT_ASSIGN(token, sampler_.sample(logits, input));
  }
  if (token && sample.constraint)
    follow(live, sample, std::move(*token));
  else
    give_token(live, sample, std::move(token));
  return {};
}

// What was sampled, or what its constraint has in place of it, is given, and the constraint goes on from there.
void EngineCore::follow(Live& live, Sample& sample, SampledToken token) {
  const NextTokens& next = *sample.constraint->next();
  const bool is_last = next.is_last;
  std::vector<TokenId> said{token.id};
  const bool model_ends = contains(live.stop_tokens, token.id) && !contains(live.params.stop_token_ids, token.id);
  if (model_ends && !next.instead_of_end.empty()) {
    said = next.instead_of_end;
    give_forced(live, sample, said);
  } else {
    give_token(live, sample, std::move(token));
  }
  if (sample.finished) return;
  if (is_last)
    sample.constraint.reset();
  else
    sample.constraint->follow(std::move(said));
}

// Until the answer is full.
void EngineCore::give_forced(Live& live, Sample& sample, std::span<const TokenId> ids) {
  for (TokenId id : ids) {
    give_token(live, sample, SampledToken{.id = id, .logprob = {}, .top_logprobs = {}});
    if (sample.finished) return;
  }
}

// None: the prompt alone was asked for.
void EngineCore::give_token(Live& live, Sample& sample, std::optional<SampledToken> token) {
  Sequence& sequence = *sample.sequence;
  TokenEvent event{.sample_idx = sequence.sample_idx, .num_cached_tokens = live.num_cached_tokens};
  if (token && contains(live.stop_tokens, token->id)) {
    event.finish = FinishReason::kStop;
    event.stop_token = token->id;
  } else if (token) {
    scheduler_.append(sequence, token->id);
    sample.counts.add_generated(token->id);
    ++counters_.generated_tokens;
    event.tokens.push_back(std::move(*token));
    if (is_repetition(live, sample)) event.finish = FinishReason::kRepetition;
  }
  const bool full = sequence.num_tokens() - sequence.num_prompt_tokens >= live.params.max_tokens ||
                    sequence.num_tokens() >= config_.max_model_len;
  if (full && !event.finish) event.finish = FinishReason::kLength;
  if (sequence.sample_idx == 0) event.prompt_logprobs = std::exchange(live.prompt_logprobs, {});
  if (event.finish) finish_sample(sample, event);
  tell(live, std::move(event));
}

// Of the tokens with the newest.
bool EngineCore::is_repetition(const Live& live, Sample& sample) const {
  const auto generated = std::span(sample.sequence->tokens).subspan(sample.sequence->num_prompt_tokens);
  return sample.repetition.push(generated) && std::ssize(generated) >= live.params.min_tokens;
}

void EngineCore::finish_sample(Sample& sample, TokenEvent& event) {
  sample.finished = true;
  if (sample.sequence == nullptr) return;
  event.num_preemptions = sample.sequence->num_preemptions;
  scheduler_.remove(*std::exchange(sample.sequence, nullptr));
}

void EngineCore::forget_if_finished(LiveIterator it) {
  if (!std::ranges::all_of(it->second.samples, &Sample::finished)) return;
  if (it->second.deadline) deadlines_.erase({*it->second.deadline, it->first});
  live_.erase(it);
  ++counters_.num_finished;
}

void EngineCore::tell(const Live& live, TokenEvent event) noexcept {
  const auto start = now_();
  event.time = start;
  event.scheduled = live.scheduled;
  live.on_event(std::move(event));
  counters_.times.deliver += seconds_since(start);
}

void EngineCore::report(EngineStats& stats) const {
  const BlockPool& pool = scheduler_.blocks();
  stats.num_running = scheduler_.num_running();
  stats.kv_usage = 1.0 - static_cast<double>(pool.num_free()) / pool.num_blocks();
  stats.prompt_tokens = counters_.prompt_tokens;
  stats.cached_prompt_tokens = counters_.cached_prompt_tokens;
  stats.generated_tokens = counters_.generated_tokens;
  stats.drafts = counters_.drafts;
  stats.draft_tokens = counters_.draft_tokens;
  stats.accepted_at = counters_.accepted_at;
  stats.times = counters_.times;
  stats.step_tokens = counters_.step_tokens;
  stats.step_seconds = counters_.step_seconds;
  stats.num_steps = counters_.num_steps;
  stats.num_preemptions = scheduler_.num_preemptions();
  stats.num_finished = counters_.num_finished;
}

}  // namespace retort
