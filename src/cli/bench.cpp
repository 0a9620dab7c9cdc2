// retort bench: how fast a model runs here, against what this machine's memory and arithmetic allow.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/visible.h"
#include "cli/command.h"
#include "cli/hub/model_cache.h"
#include "cli/hub/progress.h"
#include "cli/measure/bandwidth.h"
#include "cli/measure/breakdown.h"
#include "cli/measure/speed.h"
#include "cli/model_flags.h"
#include "cli/ranges.h"
#include "cli/terminal.h"
#include "kernels/peak.h"

namespace retort {
namespace {

struct BenchOptions {
  std::string model;
  int prompt = 512, generate = 64, context = 0, repetitions = 3, threads = 0;
  std::vector<int> batches = {1, 4, 8};
  std::string kv_type = "auto", kernel_tuning = "auto";
  bool breakdown = false, json = false;
};

struct Limits {
  double gbps = 0, gops = 0;
};

struct Report {
  std::string model_name, cpu, features, isa;
  int threads = 0;
  uint64_t weight_bytes = 0;
  double load_seconds = 0;
  TunedKernels tuned{};
  TokenCost cost{};
  Limits limits{};
  std::vector<SpeedResult> results{};
};

// Figures taken beside other work say little.
void note_busy_machine(int threads) {
  double load = 0;
  if (getloadavg(&load, 1) == 1 && load > threads)
    fmt::print(
        stderr,
        "note: other programs keep this machine busy (load {:.1f} for {} threads); figures will be low and uneven\n",
        load, threads);
}

// Beyond its context a model computes, but nothing that anyone would run.
Status check_lengths(const BenchOptions& options, int64_t max_context) {
  const int64_t asked = std::max<int64_t>(options.prompt, int64_t{options.context} + options.generate);
  if (asked <= max_context) return {};
  return fail(ErrorKind::kBadInput,
              "[bench] --prompt, --context + --generate: expected at most the model's {} positions, got {}",
              max_context, asked);
}

Status check_tests(const BenchOptions& options) {
  if (options.breakdown && options.generate == 0)
    return fail(ErrorKind::kBadUsage, "[bench] --breakdown is of decoding: expected --generate 1 or more, got 0");
  if (options.prompt == 0 && options.generate == 0)
    return fail(ErrorKind::kBadUsage, "[bench] nothing to measure: --prompt and --generate are both 0");
  return {};
}

std::vector<SpeedTest> tests_of(const BenchOptions& options) {
  std::vector<SpeedTest> tests;
  if (options.prompt > 0) tests.push_back({SpeedTest::Kind::kPrefill, options.prompt});
  if (options.generate > 0)
    for (const int batch : options.batches)
      tests.push_back({SpeedTest::Kind::kDecode, options.generate, batch, options.context});
  return tests;
}

Result<Report> run_bench(const BenchOptions& options) {
  RETORT_ASSIGN(const auto isa, select_isa());
  RETORT_ASSIGN(const auto tuning, parse_kernel_tuning(options.kernel_tuning));
  RETORT_ASSIGN(const auto path, find_model(options.model));
  RETORT_ASSIGN(const auto checkpoint, Checkpoint::open(path));
  const auto tests = tests_of(options);
  const KvType kv_type = kv_type_of(options.kv_type);
  RETORT_TRY(check_lengths(options, checkpoint.config().max_context));
  for (const auto& test : tests) RETORT_TRY(check_memory(test, kv_type, checkpoint));
  ThreadPool pool(options.threads > 0 ? options.threads : default_num_threads());
  note_busy_machine(pool.num_threads());
  Report report{.model_name = path.filename().string(),
                .cpu = cpu_model(),
                .features = cpu_features(),
                .isa = std::string(isa_name(isa)),
                .threads = pool.num_threads()};
  report.limits = {measure_read_gbps(pool), measure_int8_gops(isa, pool)};

  const auto start = std::chrono::steady_clock::now();
  RETORT_ASSIGN(auto model, Transformer::load(checkpoint, isa, pool));
  report.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.tuned = model.tune_kernels(tuning);
  report.weight_bytes = model.weight_bytes();
  report.cost = cost_of(model, kv_type);
  for (const auto& test : tests) {
    RETORT_ASSIGN(const auto result, measure_speed(model, kv_type, test, options.repetitions));
    report.results.push_back(result);
  }
  return report;
}

void print_table(const Report& report) {
  fmt::print("{}, {} threads, {} kernels ({})\n", report.cpu, report.threads, report.isa, report.features);
  fmt::print("limits measured now: reads {:.1f} GB/s, int8 {:.0f} GOP/s\n", report.limits.gbps, report.limits.gops);
  fmt::print("{}: {} of weights, {} read a token, loaded in {:.1f} s\n", visible_line(report.model_name),
             human_bytes(report.weight_bytes), human_bytes(static_cast<uint64_t>(report.cost.weight_bytes)),
             report.load_seconds);
  fmt::print("kernels: {}\n\n", visible_line(to_string(report.tuned)));
  fmt::print("{:<22} {:>9} {:>8} {:>8} {:>9} {:>8} {:>9}\n", "", "tokens/s", "spread", "GB/s", "of limit", "GOP/s",
             "of limit");
  for (const auto& result : report.results)
    fmt::print("{:<22} {:>9.1f} {:>7.1f}% {:>8.1f} {:>8.0f}% {:>8.0f} {:>8.0f}%\n", name_of(result.test),
               result.tokens_per_second.median, result.tokens_per_second.spread() * 100, result.gbps,
               result.gbps / report.limits.gbps * 100, result.gops, result.gops / report.limits.gops * 100);
}

nlohmann::ordered_json json_of(const TunedKernels& tuned) {
  nlohmann::ordered_json json = {{"nudged_rows", tuned.tuning.nudged_rows},
                                 {"keeps_lines", tuned.tuning.keeps_lines},
                                 {"many_rows_from", nullptr},
                                 {"source", tuning_source_name(tuned.source)},
                                 {"reason", tuned.reason}};
  if (tuned.has_many_rows) json["many_rows_from"] = tuned.tuning.many_rows_from;
  return json;
}

void print_json(const Report& report) {
  nlohmann::ordered_json json = {{"version", RETORT_VERSION},
                                 {"machine",
                                  {{"cpu", report.cpu},
                                   {"features", report.features},
                                   {"isa", report.isa},
                                   {"threads", report.threads},
                                   {"read_gbps", report.limits.gbps},
                                   {"int8_gops", report.limits.gops}}},
                                 {"model",
                                  {{"name", report.model_name},
                                   {"weight_bytes", report.weight_bytes},
                                   {"bytes_per_token", report.cost.weight_bytes},
                                   {"load_seconds", report.load_seconds}}},
                                 {"kernel_tuning", json_of(report.tuned)},
                                 {"results", nlohmann::ordered_json::array()}};
  for (const auto& result : report.results) {
    const auto& speed = result.tokens_per_second;
    json["results"].push_back(
        {{"test", result.test.kind == SpeedTest::Kind::kPrefill ? "prefill" : "decode"},
         {"tokens", result.test.num_tokens},
         {"batch", result.test.batch},
         {"context", result.test.context},
         {"tokens_per_second", {{"median", speed.median}, {"min", speed.min}, {"max", speed.max}}},
         {"gbps", result.gbps},
         {"gops", result.gops}});
  }
  fmt::print("{}\n", json.dump(2));
}

Result<std::vector<Breakdown>> run_breakdown(const BenchOptions& options) {
  RETORT_TRY(log::init("warning"));
  LlmOptions llm_options;
  RETORT_ASSIGN(llm_options.kernel_tuning, parse_kernel_tuning(options.kernel_tuning));
  RETORT_ASSIGN(llm_options.model, find_model(options.model));
  llm_options.num_threads = options.threads;
  llm_options.kv_type = kv_type_of(options.kv_type);
  llm_options.engine.max_num_seqs = *std::ranges::max_element(options.batches);
  RETORT_ASSIGN(const auto llm, Llm::load(llm_options));
  RETORT_TRY(measure_breakdown(*llm, 1, 8));  // the first steps take new memory
  std::vector<Breakdown> breakdowns;
  for (const int batch : options.batches) {
    RETORT_ASSIGN(const auto breakdown, measure_breakdown(*llm, batch, options.generate));
    breakdowns.push_back(breakdown);
  }
  return breakdowns;
}

void print_breakdown(const std::vector<Breakdown>& breakdowns) {
  fmt::print("share of the engine thread's time{:>28} beside it, %\n", "");
  fmt::print("{:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "sequences", "tokens/s", "model", "schedule", "sample",
             "deliver", "text");
  for (const Breakdown& b : breakdowns) {
    const auto share = [&](double seconds) { return 100 * seconds / b.times.total(); };
    fmt::print("{:<10} {:>9.1f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}\n", b.batch, b.tokens_per_second,
               share(b.times.model), share(b.times.schedule), share(b.times.sample), share(b.times.deliver),
               share(b.text_seconds));
  }
}

void print_breakdown_json(const std::vector<Breakdown>& breakdowns) {
  auto json = nlohmann::ordered_json::array();
  for (const Breakdown& b : breakdowns)
    json.push_back({{"batch", b.batch},
                    {"steps", b.num_steps},
                    {"tokens_per_second", b.tokens_per_second},
                    {"seconds",
                     {{"model", b.times.model},
                      {"schedule", b.times.schedule},
                      {"sample", b.times.sample},
                      {"deliver", b.times.deliver},
                      {"text", b.text_seconds}}}});
  fmt::print("{}\n", json.dump(2));
}

std::vector<int> parse_batches(const std::vector<std::string>& lists) {
  std::vector<int> batches;
  for (const auto& list : lists)
    for (const auto& item : comma_separated(list)) {
      int batch = 0;
      if (!CLI::detail::lexical_cast(item, batch)) throw CLI::ConversionError(item, "--batch");
      batches.push_back(batch);
    }
  return batches;
}

int bench_breakdown(const BenchOptions& options) {
  const auto breakdowns = run_breakdown(options);
  if (!breakdowns) return report(breakdowns.error());
  options.json ? print_breakdown_json(*breakdowns) : print_breakdown(*breakdowns);
  return 0;
}

}  // namespace

RunCommand add_bench_command(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  app.add_option("MODEL", options->model, "A .gguf file, a folder, a name of the catalogue or OWNER/REPO[:QUANT]")
      ->required()
      ->check(not_empty("a model"));
  auto* prompt = app.add_option("-p,--prompt", options->prompt, "Prompt tokens to prefill; 0: leave out")
                     ->check(at_least(0))
                     ->capture_default_str();
  app.add_option("-n,--generate", options->generate, "Tokens each sequence decodes; 0: leave out")
      ->check(at_least(0))
      ->capture_default_str();
  app.add_option_function<std::vector<std::string>>(
         "--batch", [options](const auto& lists) { options->batches = parse_batches(lists); },
         "Sequences that decode at once, several by commas")
      ->type_name("INT")
      ->check(each_item(at_least(1)))
      ->default_str("1,4,8");
  auto* context = app.add_option("--context", options->context, "Positions before the first decoded token")
                      ->check(at_least(0))
                      ->capture_default_str();
  auto* repetitions = app.add_option("-r,--repetitions", options->repetitions, "Runs of each test; the median is told")
                          ->check(at_least(1))
                          ->capture_default_str();
  app.add_option("-t,--threads", options->threads, "Compute threads")
      ->check(thread_count())
      ->default_str(fmt::format("physical cores: {}", default_num_threads()));
  app.add_option("--kv-cache-dtype", options->kv_type, "Keys and values as bf16 (auto), int8 or f32")
      ->check(CLI::IsMember(kKvTypeNames))
      ->capture_default_str();
  add_kernel_tuning_flag(app, options->kernel_tuning, "Options");
  app.add_flag("--breakdown", options->breakdown,
               "Run the whole engine with a chat's sampling, and tell what share of a step is not the model's: a "
               "sentence and --generate tokens, once")
      ->excludes(prompt, context, repetitions);
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "GB/s: weights, keys and values read. GOP/s: multiplications and additions in weight matrices. Both stand "
      "against what\n"
      "this process measured just before, so that the distance to the machine's limit is in view. RETORT_ISA forces "
      "an\n"
      "instruction set.");
  return [options] {
    if (const auto checked = check_tests(*options); !checked) return report(checked.error());
    if (options->breakdown) return bench_breakdown(*options);
    const auto report_or_error = run_bench(*options);
    if (!report_or_error) return report(report_or_error.error());
    options->json ? print_json(*report_or_error) : print_table(*report_or_error);
    return 0;
  };
}

}  // namespace retort
