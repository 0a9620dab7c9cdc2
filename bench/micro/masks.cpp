// What constrained decoding costs: compiling schemas, and the masks of answers that keep them. MODEL gives the
// vocabulary alone; SCHEMAS is a JSON list of [name, schema].
//   python3 tests/api/json_schemas.py | build/release/bench/bench_masks MODEL.gguf /dev/stdin
#include <fmt/format.h>

#include <time.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/gguf.h"
#include "text/grammar.h"

namespace retort {
namespace {

constexpr int kWalks = 3;  // of each schema
constexpr int kMostTokens = 200;
constexpr size_t kNumShown = 10;
constexpr TokenId kCommonTokens = 1000;

using Schemas = std::vector<std::pair<std::string, nlohmann::ordered_json>>;

// Of this thread's work: what else the machine runs costs it little.
double milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

// The kind of a token by how it begins, as far as it matters to where JSON goes next.
enum Kind { kWord, kDigit, kQuote, kStructure, kSpace, kOther, kNumKinds };

Kind kind_of(std::string_view bytes) {
  const char first = bytes[0], second = bytes.size() > 1 ? bytes[1] : '\0';
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0; };
  if (is_letter(first) || (first == ' ' && is_letter(second))) return kWord;
  if (std::isdigit(static_cast<unsigned char>(first)) != 0) return kDigit;
  if (first == '"') return kQuote;
  if (std::string_view(",:[]{}").find(first) != std::string_view::npos) return kStructure;
  if (std::string_view(" \t\r\n").find(first) != std::string_view::npos) return kSpace;
  return kOther;
}

// Chooses tokens somewhat as a model that writes JSON does: in strings words, about ten of them; numbers of two or
// three digits; the end in every second place where the answer may end. Among tokens of a kind those with small ids are
// likelier, because BPE learns frequent ones first.
class Writer {
 public:
  Writer(const Tokenizer& tokenizer, uint32_t seed) : tokenizer_(tokenizer), random_(seed) {}

  // None: the answer ends.
  std::optional<TokenId> choose(std::span<const uint32_t> mask) {
    std::vector<TokenId> ids[kNumKinds];
    for (TokenId id = 0; id < tokenizer_.vocab_size(); ++id) {
      if ((mask[static_cast<size_t>(id) / 32] >> id % 32 & 1) == 0 || is_stop(id)) continue;
      ids[kind_of(tokenizer_.token_bytes(id))].push_back(id);
    }
    const auto& stops = tokenizer_.stop_tokens();
    const bool may_end = std::ranges::any_of(
        stops, [&](TokenId id) { return (mask[static_cast<size_t>(id) / 32] >> id % 32 & 1) != 0; });
    const bool may_go_on = std::ranges::any_of(ids, [](const auto& some) { return !some.empty(); });
    if (!may_go_on || (may_end && random_() % 2 == 0)) return std::nullopt;
    auto weights = weights_here();
    for (int kind = 0; kind < kNumKinds; ++kind)
      if (ids[kind].empty()) weights[static_cast<size_t>(kind)] = 0;
    std::discrete_distribution<> kinds(weights.begin(), weights.end());
    return choose_common(ids[kinds(random_)]);
  }

  void write(TokenId id) {
    for (const char c : tokenizer_.token_bytes(id)) {
      is_inside_string_ ^= c == '"' && !is_escaped_;
      is_escaped_ = c == '\\' && !is_escaped_;
      text_ += c;
    }
  }

  const std::string& text() const { return text_; }

 private:
  std::array<double, kNumKinds> weights_here() const {
    const bool after_digit = !text_.empty() && std::isdigit(static_cast<unsigned char>(text_.back())) != 0;
    //                         word  digit  quote  structure  space  other
    if (is_inside_string_) return {10, 0.5, 1, 0.5, 0.5, 0.5};
    if (after_digit) return {0.05, 1, 2, 2, 0.5, 0.3};
    return {2, 2, 4, 4, 1, 0.3};
  }

  TokenId choose_common(const std::vector<TokenId>& ids) {
    std::vector<double> weights;
    for (const TokenId id : ids) weights.push_back(1.0 / (kCommonTokens + id));
    return ids[static_cast<size_t>(std::discrete_distribution<>(weights.begin(), weights.end())(random_))];
  }

  bool is_stop(TokenId id) const {
    return std::ranges::find(tokenizer_.stop_tokens(), id) != tokenizer_.stop_tokens().end();
  }

  const Tokenizer& tokenizer_;
  std::mt19937 random_;
  std::string text_;
  bool is_inside_string_ = false, is_escaped_ = false;
};

struct Sample {
  double time;
  std::string where = {};
};

struct Measured {
  std::vector<Sample> compile, clone, first_mask, mask, step;
  int num_ended = 0, num_walks = 0;
};

double quantile(const std::vector<Sample>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)].time;
}

std::string tail(const std::string& text) { return text.substr(text.size() - std::min<size_t>(text.size(), 40)); }

// One answer, the way the engine follows it: what was sampled, then what is forced, then the mask.
Status walk(GrammarMatcher matcher, Writer writer, size_t num_words, const std::string& name, Measured& measured) {
  std::vector<uint32_t> mask(num_words);
  ++measured.num_walks;
  std::optional<TokenId> next;
  for (int length = 0; length < kMostTokens; ++length) {
    const auto begin = milliseconds();
    if (next) RETORT_TRY(matcher.accept(*next));
    RETORT_ASSIGN(const auto forced, matcher.take_forced());
    const auto before_mask = milliseconds();
    const bool is_complete = matcher.is_complete();
    if (!is_complete) RETORT_TRY(matcher.mask(mask));
    const double mask_time = milliseconds() - before_mask, step_time = milliseconds() - begin;
    for (const TokenId id : forced) writer.write(id);
    length += static_cast<int>(forced.size());
    const std::string where = name + "  after  " + tail(writer.text());
    measured.step.push_back({step_time, where});
    if (is_complete) break;
    measured.mask.push_back({mask_time, where});
    if (!next) measured.first_mask.push_back({mask_time, where});
    next = writer.choose(mask);
    if (!next) break;
    writer.write(*next);
    if (length + 1 >= kMostTokens) return {};
  }
  ++measured.num_ended;
  return {};
}

Status measure(const Grammars& grammars, const Tokenizer& tokenizer, const Schemas& schemas, Measured& measured) {
  const auto num_words = (static_cast<size_t>(tokenizer.vocab_size()) + 31) / 32;
  for (uint32_t round = 0; round < kWalks; ++round)
    for (size_t i = 0; i < schemas.size(); ++i) {
      const auto& [name, schema] = schemas[i];
      const std::string text = schema.dump();
      const auto begin = milliseconds();
      RETORT_ASSIGN(const auto compiled, grammars.compile(GrammarKind::kJsonSchema, text));
      measured.compile.push_back({milliseconds() - begin, name});
      const auto begin_clone = milliseconds();
      RETORT_ASSIGN(auto matcher, compiled.clone());
      measured.clone.push_back({milliseconds() - begin_clone, name});
      const Writer writer(tokenizer, round * static_cast<uint32_t>(schemas.size()) + static_cast<uint32_t>(i));
      RETORT_TRY(walk(std::move(matcher), writer, num_words, name, measured));
    }
  return {};
}

void print_line(std::string_view what, std::vector<Sample>& samples) {
  std::ranges::sort(samples, {}, &Sample::time);
  fmt::print("{:<12} {:>7} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f}\n", what, samples.size(), quantile(samples, 0.5),
             quantile(samples, 0.99), quantile(samples, 0.999), samples.back().time);
}

// The largest of each schema, largest first.
void print_offenders(std::string_view what, const std::vector<Sample>& sorted) {
  fmt::print("\nlargest {}:\n", what);
  std::vector<std::string> shown;
  for (auto sample = sorted.rbegin(); sample != sorted.rend() && shown.size() < kNumShown; ++sample) {
    const std::string name = sample->where.substr(0, sample->where.find("  after  "));
    if (std::ranges::find(shown, name) != shown.end()) continue;
    shown.push_back(name);
    fmt::print("{:>9.3f}  {}\n", sample->time,
               nlohmann::json(sample->where).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  }
}

Status run(const char* model, const char* schemas_path) {
  RETORT_ASSIGN(const auto file, Gguf::open(model));
  RETORT_ASSIGN(const auto tokenizer, Tokenizer::from_gguf(file));
  const auto schemas = nlohmann::ordered_json::parse(std::ifstream(schemas_path)).get<Schemas>();
  const Grammars grammars(tokenizer);
  const auto begin = milliseconds();
  RETORT_TRY(grammars.compile(GrammarKind::kRegex, "a"));
  fmt::print("{} tokens, prepared in {:.0f} ms\n", tokenizer.vocab_size(), milliseconds() - begin);
  Measured measured;
  RETORT_TRY(measure(grammars, tokenizer, schemas, measured));
  fmt::print("{} schemas, {} answers, {} of them ended within {} tokens\n\n", schemas.size(), measured.num_walks,
             measured.num_ended, kMostTokens);
  fmt::print("{:<12} {:>7} {:>9} {:>9} {:>9} {:>9}  ms\n", "", "", "p50", "p99", "p99.9", "max");
  print_line("compile", measured.compile);
  print_line("clone", measured.clone);
  print_line("first mask", measured.first_mask);
  print_line("mask", measured.mask);
  print_line("whole step", measured.step);
  print_offenders("compile", measured.compile);
  print_offenders("mask", measured.mask);
  print_offenders("step", measured.step);
  return {};
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: bench_masks MODEL.gguf SCHEMAS.json\n");
    return 2;
  }
  const auto done = retort::run(argv[1], argv[2]);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
