// One answer in the making: the tokens so far and the KV blocks that hold them. The scheduler's; others read.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "text/tokenizer.h"

namespace retort {

struct Sequence {
  uint64_t request_id = 0;
  int sample_idx = 0;
  int num_samples = 1;     // above 1: the prompt of so many answers; they part when it has been computed
  int64_t arrived_ms = 0;  // moved by the priority
  int64_t num_found = 0;   // prompt tokens that were in the prefix cache then
  int64_t due_ms = 0;      // moved by the prompt too: who waits ages past those that come much later
  uint64_t arrival = 0;    // place in the line
  std::string cache_salt;
  bool is_held = false;       // what may come next is not known yet: it sits out steps
  bool score_prompt = false;  // the logits of every prompt position are wanted

  std::vector<TokenId> tokens;  // prompt, then what was generated
  int64_t num_prompt_tokens = 0;
  int64_t num_computed = 0;          // tokens whose keys and values are stored
  std::vector<int32_t> block_table;  // block i holds positions 32 i … 32 i + 31; no blocks while waiting
  int64_t num_cached_tokens = 0;     // prompt tokens that the prefix cache gave when the sequence was first admitted
  int64_t num_scored = 0;            // with score_prompt: positions whose logits have been handed out
  int num_preemptions = 0;

  // Guesses of the tokens after the newest, set anew before each step; the step computes as many as pay.
  std::vector<TokenId> drafts;
  double draft_acceptance = 0;  // the chance that one is right when those before it are

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  // Only its newest token is still to be computed.
  bool is_decoding() const { return num_tokens() > num_prompt_tokens && num_computed == num_tokens() - 1; }
  // Sooner served first.
  auto rank() const { return std::tuple(due_ms, arrival, sample_idx); }
};

}  // namespace retort
