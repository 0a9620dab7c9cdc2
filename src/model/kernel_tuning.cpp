#include "model/kernel_tuning.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "formats/json.h"
#include "kernels/tuning.h"

namespace retort {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMinMeasuredBytes = 8 << 20;  // less is read in no time that could be told from the pool's own
constexpr size_t kMaxKept = 64;
constexpr JsonLimits kCacheLimits = {.max_bytes = 64 << 10, .max_depth = 4};

json to_json(const TuningKey& key) {
  return {{"cpu", key.cpu},
          {"isa", key.isa},
          {"threads", key.num_threads},
          {"weights", fmt::format("{} {} × {}", key.type, key.num_outputs, key.num_inputs)},
          {"build", key.build}};
}

// The list in the file, empty where there is none to be had.
json read_kept(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error) || fs::file_size(file, error) > kCacheLimits.max_bytes) return json::array();
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto kept = parse_json_object(text, kCacheLimits, "[kernels] tunings kept");
  if (!kept || !kept->contains("tunings") || !(*kept)["tunings"].is_array()) return json::array();
  return std::move((*kept)["tunings"]);
}

bool is_of(const json& entry, const TuningKey& key) {
  return entry.is_object() && entry.contains("for") && entry["for"] == to_json(key);
}

// Where it is a number that the flag would take.
std::optional<int> rows_of(const json& entry, const char* name, int least, int most) {
  const auto found = entry.find(name);
  if (found == entry.end() || !found->is_number_integer() || *found < least || *found > most) return std::nullopt;
  return found->get<int>();
}

Status write_whole(const fs::path& file, const std::string& text) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  const fs::path unfinished = fmt::format("{}.{}.part", file.string(), ::getpid());
  std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) error = std::error_code(errno != 0 ? errno : EIO, std::generic_category());
  if (!error) fs::rename(unfinished, file, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(unfinished, ignored);
  return fail(ErrorKind::kIo, "[kernels] {}: cannot be written: {}", file.string(), error.message());
}

TunedKernels measure(const Matmul& matmul, std::span<const PackedMatrix* const> matrices, const TuningKey& key,
                     const fs::path& cache_file) {
  const KernelTuning usual = matmul.tuning();
  if (const auto kept = find_tuning(cache_file, key))
    return {*kept, TuningSource::kCached, fmt::format("in {}", cache_file.string())};
  const auto start = std::chrono::steady_clock::now();
  const auto times = measure_row_times(matmul, matrices, std::chrono::duration<double>(kTuningSeconds));
  if (times.empty())
    return {usual, TuningSource::kDefault, fmt::format("{} s were too short for measuring", kTuningSeconds)};
  const KernelTuning tuning = choose_tuning(times, usual);
  for (const RowTimes& row : times)
    log::debug("kernels: {} rows of {}: nudged {:.0f}, asked for {:.0f}, kept {:.0f}; many {:.0f}, {:.0f}, {:.0f} µs",
               row.num_rows, key.type, 1e6 * row.nudged, 1e6 * row.asked, 1e6 * row.kept, 1e6 * row.many_nudged,
               1e6 * row.many, 1e6 * row.many_kept);
  if (const auto written = cache_file.empty() ? Status() : keep_tuning(cache_file, key, tuning); !written)
    log::debug("{}; the next start measures again", written.error().message);
  return {tuning, TuningSource::kMeasured,
          fmt::format("in {:.2f} s on {} matrices of {} × {}",
                      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), key.type,
                      matrices.front()->num_outputs(), matrices.front()->num_inputs())};
}

TunedKernels choose(const Matmul& matmul, std::span<const PackedMatrix* const> matrices, Isa isa, int num_threads,
                    const KernelTuningRequest& request) {
  const KernelTuning usual = matmul.kernels().tuning;
  if (request.nudged_rows || request.many_rows_from || request.keeps_lines)
    return {{request.nudged_rows.value_or(usual.nudged_rows), request.many_rows_from.value_or(usual.many_rows_from),
             request.keeps_lines.value_or(usual.keeps_lines ? 1 : 0) == 1},
            TuningSource::kGiven,
            ""};
  if (!request.measures) return {usual, TuningSource::kDefault, ""};
  if (isa == Isa::kScalar) return {usual, TuningSource::kDefault, "scalar kernels have nothing to tune"};
  if (matrices.empty() || matrices.size() * matrices.front()->num_bytes() < kMinMeasuredBytes)
    return {usual, TuningSource::kDefault, "too few quantised weights for measuring"};
  const PackedMatrix& matrix = *matrices.front();
  const TuningKey key{cpu_model(),          std::string(isa_name(isa)),
                      num_threads,          std::string(info_of(matrix.type()).name),
                      matrix.num_outputs(), matrix.num_inputs()};
  return measure(matmul, matrices, key, request.cache_file);
}

}  // namespace

std::string_view tuning_source_name(TuningSource source) {
  switch (source) {
    case TuningSource::kGiven:
      return "given";
    case TuningSource::kMeasured:
      return "measured";
    case TuningSource::kCached:
      return "cached";
    default:
      return "default";
  }
}

std::string to_string(const TunedKernels& tuned) {
  const std::string many = tuned.has_many_rows ? fmt::format(",many_rows_from={}", tuned.tuning.many_rows_from) : "";
  return fmt::format("nudged_rows={},keeps_lines={}{} ({}{}{})", tuned.tuning.nudged_rows,
                     tuned.tuning.keeps_lines ? 1 : 0, many, tuning_source_name(tuned.source),
                     tuned.reason.empty()                     ? ""
                     : tuned.source == TuningSource::kDefault ? ": "
                                                              : " ",
                     tuned.reason);
}

TunedKernels tune_kernels(Matmul& matmul, std::span<const PackedMatrix* const> matrices, Isa isa, int num_threads,
                          const KernelTuningRequest& request) {
  TunedKernels tuned = choose(matmul, matrices, isa, num_threads, request);
  tuned.has_many_rows = matmul.kernels().many_rows_step > 0;
  matmul.set_tuning(tuned.tuning);
  return tuned;
}

std::optional<KernelTuning> find_tuning(const fs::path& file, const TuningKey& key) {
  for (const json& entry : read_kept(file)) {
    if (!is_of(entry, key)) continue;
    const auto nudged = rows_of(entry, "nudged_rows", 0, kMaxTileRows);
    const auto many_from = rows_of(entry, "many_rows_from", 1, kNoManyRows);
    const auto keeps = rows_of(entry, "keeps_lines", 0, 1);
    if (nudged && many_from && keeps) return KernelTuning{*nudged, *many_from, *keeps == 1};
  }
  return std::nullopt;
}

Status keep_tuning(const fs::path& file, const TuningKey& key, const KernelTuning& tuning) {
  const json before = read_kept(file);
  json kept = json::array();
  kept.push_back(json{{"for", to_json(key)},
                      {"nudged_rows", tuning.nudged_rows},
                      {"many_rows_from", tuning.many_rows_from},
                      {"keeps_lines", tuning.keeps_lines ? 1 : 0}});
  for (const json& entry : before)
    if (!is_of(entry, key) && kept.size() < kMaxKept) kept.push_back(entry);
  return write_whole(file, json{{"tunings", kept}}.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace retort
