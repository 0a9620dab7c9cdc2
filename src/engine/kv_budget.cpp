#include "engine/kv_budget.h"

#include <algorithm>
#include <limits>

#include "kernels/kv_block.h"

namespace retort {
namespace {

constexpr double kMiB = 1 << 20;

uint64_t default_bytes(const KvRequest& request, const Memory& memory, uint64_t full_context) {
  const uint64_t reserve = memory.limit * 15 / 100;  // a full cache alone must not degrade the server (at 90 %)
  const uint64_t free = memory.available > reserve ? memory.available - reserve : 0;
  const uint64_t useful = full_context * static_cast<uint64_t>(std::max(1, request.max_num_seqs));
  return std::min(free, useful);
}

}  // namespace

Result<KvBudget> plan_kv(const KvRequest& request, const Memory& memory) {
  if (request.max_model_len > request.model_context)
    return fail(ErrorKind::kBadInput, "[kv cache] max_model_len: expected at most the model's own {} tokens, got {}",
                request.model_context, request.max_model_len);
  if (request.cache_bytes > memory.available)
    return fail(ErrorKind::kTooLarge, "[kv cache] size: expected at most the {:.0f} MiB that are free, got {:.0f} MiB",
                static_cast<double>(memory.available) / kMiB, static_cast<double>(request.cache_bytes) / kMiB);
  const int64_t wanted = request.max_model_len > 0 ? request.max_model_len : request.model_context;
  const auto blocks_wanted = static_cast<uint64_t>((wanted + kBlockTokens - 1) / kBlockTokens);
  const uint64_t bytes = request.cache_bytes > 0
                             ? request.cache_bytes
                             : default_bytes(request, memory, blocks_wanted * request.bytes_per_block);
  const uint64_t blocks = std::min<uint64_t>(bytes / request.bytes_per_block, std::numeric_limits<int32_t>::max());
  if (blocks == 0)
    return fail(ErrorKind::kTooLarge,
                "[kv cache] expected room for at least one block of {:.1f} MiB, there is {:.1f} MiB. Free some memory, "
                "raise its limit (ulimit -v, cgroup), or take a smaller model",
                static_cast<double>(request.bytes_per_block) / kMiB, static_cast<double>(bytes) / kMiB);
  const auto held = static_cast<int64_t>(blocks) * kBlockTokens;
  if (request.max_model_len > held)
    return fail(ErrorKind::kTooLarge,
                "[kv cache] max_model_len {}: expected at most the {} tokens that {:.0f} MiB hold",
                request.max_model_len, held, static_cast<double>(bytes) / kMiB);
  return KvBudget{static_cast<int32_t>(blocks), std::min(wanted, held)};
}

}  // namespace retort
