// retort simulate: what an arrival trace would meet, with the real scheduler on an imagined machine.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/ranges.h"
#include "cli/terminal.h"
#include "cli/trace.h"

namespace retort {
namespace {

constexpr double kMost = 10'000'000;  // of requests, blocks, milliseconds: what memory and the clock hold

struct SimulateOptions {
  std::string trace;
  DrawnTrace drawn;
  SimulationConfig config{.scheduler = {.max_step_seconds = 0.2}};
  double max_step_ms = 200, step_ms = 30, token_ms = 5, attended_ns = 2000;
  bool json = false;
};

// The smallest value that at least this share (> 0) of all do not exceed; NaN where there is none.
float percentile(std::vector<float>& values, double share) {
  if (values.empty()) return NAN;
  const auto nth = values.begin() + static_cast<ptrdiff_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
  std::ranges::nth_element(values, nth);
  return *nth;
}

std::string shown(float seconds) { return std::isnan(seconds) ? "–" : fmt::format("{:.3f}", seconds); }

struct Row {
  const char* name;
  const char* key;
  std::vector<float>* seconds;
};

std::array<Row, 3> rows_of(SimulationReport& report) {
  return {Row{"first token", "ttft_seconds", &report.first_token},
          Row{"between tokens", "itl_seconds", &report.between_tokens},
          Row{"whole answer", "e2e_seconds", &report.whole}};
}

void print_table(SimulationReport& report) {
  fmt::print(
      "{} requests answered, {} refused, in {:.1f} s: {} prompt tokens ({} from the cache), {} generated, {:.1f} a "
      "second\n",
      report.whole.size(), report.num_refused, report.seconds, report.prompt_tokens, report.cached_prompt_tokens,
      report.generated_tokens, static_cast<double>(report.generated_tokens) / std::max(report.seconds, 1e-9));
  fmt::print(
      "{} steps, {} preemptions; at most {} running, {} waiting; the scheduler itself took {:.2f} s: {:.0f} steps a "
      "second\n\n",
      report.num_steps, report.num_preemptions, report.max_running, report.max_waiting, report.scheduling_seconds,
      static_cast<double>(report.num_steps) / std::max(report.scheduling_seconds, 1e-9));
  fmt::print("{:<16} {:>10} {:>10} {:>10} {:>10}\n", "seconds", "p50", "p95", "p99", "max");
  for (const Row& row : rows_of(report))
    fmt::print("{:<16} {:>10} {:>10} {:>10} {:>10}\n", row.name, shown(percentile(*row.seconds, 0.5)),
               shown(percentile(*row.seconds, 0.95)), shown(percentile(*row.seconds, 0.99)),
               shown(percentile(*row.seconds, 1)));
}

void print_json(SimulationReport& report) {
  nlohmann::ordered_json json = {{"requests", report.whole.size()},
                                 {"refused", report.num_refused},
                                 {"seconds", report.seconds},
                                 {"prompt_tokens", report.prompt_tokens},
                                 {"cached_prompt_tokens", report.cached_prompt_tokens},
                                 {"generated_tokens", report.generated_tokens},
                                 {"steps", report.num_steps},
                                 {"preemptions", report.num_preemptions},
                                 {"max_running", report.max_running},
                                 {"max_waiting", report.max_waiting},
                                 {"scheduling_seconds", report.scheduling_seconds}};
  for (const Row& row : rows_of(report))
    json[row.key] = {{"p50", percentile(*row.seconds, 0.5)},
                     {"p95", percentile(*row.seconds, 0.95)},
                     {"p99", percentile(*row.seconds, 0.99)},
                     {"max", percentile(*row.seconds, 1)}};
  fmt::print("{}\n", json.dump(2));
}

Result<SimulationReport> run(SimulateOptions& options) {
  if (options.drawn.min_input > options.drawn.max_input || options.drawn.min_output > options.drawn.max_output)
    return fail(ErrorKind::kBadUsage,
                "[simulate] --min-input and --min-output: expected at most --max-input and --max-output");
  options.config.scheduler.max_step_seconds = options.max_step_ms / 1e3;
  options.config.price = {options.step_ms / 1e3, options.token_ms / 1e3, options.attended_ns / 1e9};
  std::vector<SimulatedRequest> trace;
  if (options.trace.empty()) {
    trace = draw_trace(options.drawn);
  } else {
    RETORT_ASSIGN(trace, read_trace(options.trace));
  }
  return simulate(options.config, trace);
}

void add_trace_flags(CLI::App& app, SimulateOptions& options) {
  const char* group = "Arrivals";
  auto& drawn = options.drawn;
  app.add_option(
      "TRACE", options.trace,
      "JSON lines as Mooncake's traces: timestamp (ms), input_length, output_length and, if wished, hash_ids "
      "and priority. Without it arrivals are drawn:");
  const auto add = [&](const char* flag, auto& value, const char* about, double least = 1, double most = kMost) {
    app.add_option(flag, value, about)->check(between(least, most))->capture_default_str()->group(group);
  };
  add("--requests", drawn.num_requests, "How many");
  add("--rate", drawn.rate, "Arrivals a second, Poisson", 0.001, 1e9);
  add("--min-input", drawn.min_input, "Shortest prompt, in tokens");
  add("--max-input", drawn.max_input, "Longest prompt");
  add("--min-output", drawn.min_output, "Shortest answer");
  add("--max-output", drawn.max_output, "Longest answer");
  app.add_option("--seed", drawn.seed, "Of the draw")->capture_default_str()->group(group);
}

void add_machine_flags(CLI::App& app, SimulateOptions& options) {
  const char* group = "The imagined machine and the scheduler's settings";
  const auto add = [&](const char* flag, auto& value, const char* about) {
    return app.add_option(flag, value, about)->check(between(0, kMost))->capture_default_str()->group(group);
  };
  add("--step-ms", options.step_ms, "Milliseconds of any step");
  add("--token-ms", options.token_ms, "More for each token computed in it");
  add("--attended-ns", options.attended_ns, "Nanoseconds more for each position a token looks at");
  add("--blocks", options.config.num_blocks, "KV blocks of 32 tokens")->check(at_least(1));
  add("--max-num-seqs", options.config.scheduler.max_num_seqs, "As of serve")->check(at_least(1));
  add("--max-num-batched-tokens", options.config.scheduler.max_num_batched_tokens,
      "As of serve: at least --max-num-seqs")
      ->check(at_least(1));
  add("--max-step-ms", options.max_step_ms, "As of serve");
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", options.config.enable_prefix_caching,
               "As of serve")
      ->default_str("on")
      ->group(group);
}

}  // namespace

RunCommand add_simulate_command(CLI::App& app) {
  auto options = std::make_shared<SimulateOptions>();
  add_trace_flags(app, *options);
  add_machine_flags(app, *options);
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "  retort simulate --rate 2 --requests 500              500 arrivals, two a second, on a small machine\n"
      "  retort simulate trace.jsonl --blocks 100000 --step-ms 5 --token-ms 0.02 --attended-ns 5 --max-num-seqs 256");
  return [options] {
    auto result = run(*options);
    if (!result) return report(result.error());
    options->json ? print_json(*result) : print_table(*result);
    return 0;
  };
}

}  // namespace retort
