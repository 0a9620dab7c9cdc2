// Decides what the next step computes: all decodes first, then prompt chunks within the budgets of tokens and of time.
// Knows sequences, blocks and budgets, never a tensor, a text or a socket. Engine thread only.
//
// A turn: drafts are set on decoding sequences → plan() → the caller copies blocks, runs the model → commit() → fork()
// where samples part, append() and accept(), or remove(), for each sequence that got tokens → learn(). Sequences may be
// added, given tokens and removed between turns; blocks come back at once.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/block_pool.h"
#include "engine/sequence.h"
#include "engine/step_cost.h"

namespace retort {

struct SchedulerConfig {
  int max_num_seqs = 64;             // answers running at once
  int max_num_batched_tokens = 512;  // in one step; raised to max_num_seqs if below, so that every decode has a place
  int max_scored_rows = 64;          // rows of prompt logits in one step: each is a whole vocabulary of floats
  // A request is due when it came, this much later per level of priority (beyond 6, per doubling), and as much later as
  // its prompt is predicted to take alone. Those due sooner go first; as what is due never moves, nobody starves.
  int64_t priority_ageing_ms = 10'000;
  double max_step_seconds = 0;  // prompt chunks are cut so that a step is predicted to take no longer; 0: no limit
};

struct NewSequence {
  uint64_t request_id = 0;
  std::vector<TokenId> prompt;  // not empty, and its blocks are no more than there are
  int num_samples = 1;          // 1 … max_num_seqs
  int priority = 0;             // lower is sooner
  int64_t arrived_ms = 0;       // by any one clock
  std::string cache_salt = {};
  bool score_prompt = false;
};

struct BlockCopy {
  int32_t from, to;
};

struct ScheduledSequence {
  Sequence* sequence;
  int64_t first_position;  // of the first token to compute
  int64_t num_tokens;
  int64_t num_scored_rows;  // prompt positions at the end of the chunk (before the one that samples) whose logits are
                            // wanted
  bool samples;             // reaches the newest token: its row of logits gives the next one
  int num_drafts = 0;       // rows after that: of the sequence's first drafts, which run as its tokens

  int64_t num_logits() const { return num_scored_rows + (samples ? 1 : 0) + num_drafts; }
};

struct Step {
  std::vector<BlockCopy> copies;             // to be done in this order before the step runs
  std::vector<ScheduledSequence> sequences;  // decodes first
  StepShape shape;
};

class Scheduler {
 public:
  Scheduler(const SchedulerConfig& config, int32_t num_blocks, bool enable_prefix_caching,
            BlockPool::HashFunction hash = BlockPool::hash_tokens);

  // Puts it in the line of those waiting. The reference holds until remove().
  Sequence& add(NewSequence request);
  // What to compute next; empty only when there is no sequence but held ones, and those that wait for their blocks.
  // Valid until the next call.
  const Step& plan();
  // The step that is to be committed gives no token to this sequence: its newest one runs again after release().
  void hold(Sequence& sequence) { sequence.is_held = true; }
  void release(Sequence& sequence) { sequence.is_held = false; }
  // The step has run: its tokens' keys and values are stored. Drafts are no longer among the tokens.
  void commit(const Step& step);
  // How long a step of this shape took, all that the caller did for it included.
  void learn(const StepShape& shape, double seconds);
  // After commit(), before append(): the other num_samples - 1 sequences of a prompt, sharing its blocks, running.
  std::vector<Sequence*> fork(Sequence& first);
  void append(Sequence& sequence, TokenId token) { sequence.tokens.push_back(token); }
  // The token just appended was the next of the drafts that ran: it need not run again.
  void accept(Sequence& sequence) { advance(sequence, 1); }
  // Finished, cancelled or failed: it is gone and its blocks are free.
  void remove(Sequence& sequence);

  // Prompts that come are computed whole, also where they begin as earlier ones did.
  void reset_prefix_cache() { pool_.forget_all(); }

  bool has_work() const { return !running_.empty() || !waiting_.empty(); }
  int num_running() const { return static_cast<int>(running_.size()); }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  std::vector<uint64_t> running_requests() const;  // each once
  uint64_t num_preemptions() const { return num_preemptions_; }
  const BlockPool& blocks() const { return pool_; }
  // Every block is free, cached or owned by the sequences that name it; every sequence is where it should be.
  Status check_integrity() const;

 private:
  struct ByRank {
    using is_transparent = void;
    bool operator()(const std::unique_ptr<Sequence>& a, const std::unique_ptr<Sequence>& b) const {
      return a->rank() < b->rank();
    }
    bool operator()(const std::unique_ptr<Sequence>& a, const Sequence& b) const { return a->rank() < b.rank(); }
    bool operator()(const Sequence& a, const std::unique_ptr<Sequence>& b) const { return a.rank() < b->rank(); }
  };

  void plan_decodes();
  void plan_drafts();
  bool pays(const ScheduledSequence& scheduled, double expected_tokens) const;
  bool add_draft(ScheduledSequence& scheduled);
  void advance(Sequence& sequence, int64_t num_tokens);
  void plan_chunks();
  void admit();
  Sequence* start_next();
  bool try_to_start(Sequence& sequence);
  bool reserve_slot(Sequence& sequence);
  bool reserve_slots(Sequence& sequence);
  int32_t allocate_or_preempt(const Sequence& for_whom);
  void preempt_last();
  void plan_chunk(Sequence& sequence);
  int64_t least_chunk(int64_t first_position) const;
  int64_t tokens_left(int64_t first_position) const;
  void schedule(const ScheduledSequence& scheduled);
  void match_prefix(Sequence& sequence);
  void match_beginning(Sequence& sequence);
  void add_cached(Sequence& sequence, int64_t num_tokens);
  void give_back_blocks(Sequence& sequence);
  void give_back_prefix(Sequence& sequence);
  void set_due(Sequence& sequence) const;
  void rank_anew();
  BlockContent content(const Sequence& sequence, int64_t block, int64_t num_tokens = kBlockTokens) const;
  void insert_running(std::unique_ptr<Sequence> sequence);
  int num_seats_taken() const;

  SchedulerConfig config_;
  BlockPool pool_;
  std::vector<std::unique_ptr<Sequence>> running_;  // best rank first: the last is the one to preempt
  std::set<std::unique_ptr<Sequence>, ByRank> waiting_;
  StepCost cost_;
  Step step_;
  int64_t scored_rows_left_ = 0;
  bool has_chunk_ = false;  // the step being planned
  uint64_t num_arrivals_ = 0, num_preemptions_ = 0;
};

}  // namespace retort
