// How a model comes by its KernelTuning: asked for, found in a file that an earlier start left, or measured on its own
// matrices. Before the first step, by whoever drives the thread pool.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/build_id.h"
#include "base/cpu.h"
#include "base/result.h"
#include "kernels/matmul.h"

namespace retort {

// By default: the instruction set's own.
struct KernelTuningRequest {
  bool measures = false;
  std::optional<int> nudged_rows = {}, many_rows_from = {}, keeps_lines = {};  // as given; the rest is the set's own
  std::filesystem::path cache_file = {};  // keeps what was measured; empty: nothing does
};

enum class TuningSource { kDefault, kGiven, kMeasured, kCached };
std::string_view tuning_source_name(TuningSource source);  // "measured"

struct TunedKernels {
  KernelTuning tuning;
  TuningSource source;
  std::string reason;          // "in 0.15 s on Q4_K matrices of 8960 × 1536"
  bool has_many_rows = false;  // else many_rows_from says nothing: one kernel takes any number of rows
};
std::string to_string(
    const TunedKernels& tuned);  // "nudged_rows=2,keeps_lines=0,many_rows_from=3 (measured in 0.15 s on …)"

// Sets the matmul's tuning, which took at most kTuningSeconds. matrices: see Weights::most_read_matrices().
TunedKernels tune_kernels(Matmul& matmul, std::span<const PackedMatrix* const> matrices, Isa isa, int num_threads,
                          const KernelTuningRequest& request);
inline constexpr double kTuningSeconds = 0.2;
inline constexpr size_t kLargestMeasured = 8 << 20;  // bytes of a matrix that is multiplied often enough in that time

// What a measured tuning holds for.
struct TuningKey {
  std::string cpu, isa;
  int num_threads;
  std::string type;                 // of the weights, "Q4_K"
  int64_t num_outputs, num_inputs;  // of a matrix
  std::string build = build_id();
};
// Nothing where the file has none, cannot be read or is spoilt: it is only a cache.
std::optional<KernelTuning> find_tuning(const std::filesystem::path& file, const TuningKey& key);
// Beside those that the file holds for other keys; the oldest are dropped. The file is whole at any moment.
Status keep_tuning(const std::filesystem::path& file, const TuningKey& key, const KernelTuning& tuning);

}  // namespace retort
