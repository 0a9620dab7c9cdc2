// How many KV blocks to have, and how long a sequence may be.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "base/result.h"

namespace retort {

struct KvRequest {
  uint64_t cache_bytes = 0;   // what the user gave; 0: choose
  int64_t max_model_len = 0;  // what the user gave; 0: as much as the blocks hold, up to the model's own
  int max_num_seqs = 1;
  int64_t model_context = 0;  // positions the model was made for
  uint64_t bytes_per_block = 0;
};

struct KvBudget {
  int32_t num_blocks = 0;
  int64_t max_model_len = 0;
};

// Without a size given: what is left of the memory (the machine's, the cgroup's or the address space's) within 85 % of
// it, what others use counted, and never more than max_num_seqs full contexts. Errors: the memory does not hold a
// block, or what was given; a max_model_len that the model or the memory does not hold (says both).
Result<KvBudget> plan_kv(const KvRequest& request, const Memory& memory);

}  // namespace retort
