#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "engine/philox.h"
#include "engine/row_math.h"

namespace retort {
namespace {

constexpr int32_t kVocab = 300;

std::vector<float> random_logits(uint32_t seed, int32_t vocab_size = kVocab, float spread = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(vocab_size);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// A sequence's past, as the engine keeps it.
struct Past {
  std::vector<TokenId> prompt = {}, generated = {}, stop_tokens = {};
  uint64_t seed = 1;
  int sample_idx = 0;

  TokenCounts counts(const SamplingParams& params) const {
    TokenCounts counts(params, prompt);
    for (TokenId id : generated) counts.add_generated(id);
    return counts;
  }
  int64_t position() const { return std::ssize(prompt) + std::ssize(generated); }
};

Result<SampledToken> sample(std::span<const float> logits, const SamplingParams& params, const Past& past = {}) {
  Sampler sampler(static_cast<int32_t>(logits.size()));
  const auto counts = past.counts(params);
  return sampler.sample(
      logits, {params, past.generated, counts, past.stop_tokens, past.seed, past.sample_idx, past.position()});
}

// The specification: every probability in float64, by sorting everything.
std::vector<double> reference(std::span<const float> logits, const SamplingParams& p, const Past& past) {
  const size_t n = logits.size();
  std::vector<double> x(logits.begin(), logits.end());
  if (!p.allowed_token_ids.empty())
    for (size_t i = 0; i < n; ++i)
      if (std::ranges::find(p.allowed_token_ids, static_cast<TokenId>(i)) == p.allowed_token_ids.end())
        x[i] = -INFINITY;
  for (const auto& word : p.bad_words) {
    const size_t before = word.size() - 1;
    if (before > past.generated.size()) continue;
    if (std::equal(word.begin(), word.end() - 1, past.generated.end() - static_cast<ptrdiff_t>(before)))
      x[word.back()] = -INFINITY;
  }
  if (std::ssize(past.generated) < p.min_tokens)
    for (TokenId id : past.stop_tokens) x[id] = -INFINITY;
  for (auto [id, bias] : p.logit_bias) x[id] += bias;
  for (size_t i = 0; i < n; ++i) {
    const auto in_generated = std::ranges::count(past.generated, static_cast<TokenId>(i));
    const auto in_prompt = std::ranges::count(past.prompt, static_cast<TokenId>(i));
    if (in_generated + in_prompt > 0) x[i] = x[i] > 0 ? x[i] / p.repetition_penalty : x[i] * p.repetition_penalty;
    x[i] -= p.frequency_penalty * static_cast<double>(in_generated);
    if (in_generated > 0) x[i] -= p.presence_penalty;
  }
  const double max = *std::ranges::max_element(x);
  std::vector<double> probs(n);
  for (size_t i = 0; i < n; ++i) probs[i] = std::exp((x[i] - max) / p.temperature);
  const auto normalize = [&] {
    const double sum = std::accumulate(probs.begin(), probs.end(), 0.0);
    for (double& prob : probs) prob /= sum;
  };
  normalize();
  const double top = *std::ranges::max_element(probs);
  for (double& prob : probs)
    if (prob < p.min_p * top) prob = 0;
  normalize();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](size_t a, size_t b) { return probs[a] != probs[b] ? probs[a] > probs[b] : a < b; });
  if (p.top_k > 0)
    for (size_t i = p.top_k; i < n; ++i) probs[order[i]] = 0;
  normalize();
  double before = 0;
  for (size_t i = 0; i < n; ++i) {
    const double prob = probs[order[i]];
    if (before >= p.top_p) probs[order[i]] = 0;
    before += prob;
  }
  normalize();
  if (p.typical_p < 1) {
    double entropy = 0;
    for (double prob : probs)
      if (prob > 0) entropy -= prob * std::log(prob);
    const auto distance = [&](size_t i) { return probs[i] > 0 ? std::abs(-std::log(probs[i]) - entropy) : INFINITY; };
    std::ranges::sort(order, [&](size_t a, size_t b) { return distance(a) < distance(b); });
    before = 0;
    for (size_t i : order) {
      const double prob = probs[i];
      if (before >= p.typical_p) probs[i] = 0;
      before += prob;
    }
    normalize();
  }
  return probs;
}

// Upper quantile of chi-square at about one in a million (Wilson and Hilferty's approximation).
double chi_square_limit(int degrees) {
  const double k = degrees, z = 4.75;
  return k * std::pow(1 - 2 / (9 * k) + z * std::sqrt(2 / (9 * k)), 3);
}

struct Distribution {
  const char* name;
  SamplingParams params;
  Past past = {};
};
std::ostream& operator<<(std::ostream& out, const Distribution& d) { return out << d.name; }
class EveryDistribution : public ::testing::TestWithParam<Distribution> {};

// Draws at many positions of one sequence; counts against expected counts, rare tokens taken together.
TEST_P(EveryDistribution, AgreesWithTheReference) {
  const auto& [name, params, past] = GetParam();
  const auto logits = random_logits(11);
  const auto probs = reference(logits, params, past);
  const auto counts = past.counts(params);
  Sampler sampler(kVocab);
  constexpr int kDraws = 20000;
  std::vector<int> drawn(kVocab, 0);
  for (int i = 0; i < kDraws; ++i) {
    const auto token = sampler.sample(logits, {params, past.generated, counts, past.stop_tokens, 42, i % 3, i});
    ASSERT_TRUE(token) << token.error().message;
    ASSERT_GT(probs[token->id], 0) << "token " << token->id << " must never be drawn";
    ++drawn[token->id];
  }
  double statistic = 0, rare_expected = 0;
  int rare_drawn = 0, num_bins = 0;
  const auto add_bin = [&](double expected, int observed) {
    statistic += (observed - expected) * (observed - expected) / expected;
    ++num_bins;
  };
  for (int32_t id = 0; id < kVocab; ++id) {
    const double expected = probs[id] * kDraws;
    if (expected >= 10) {
      add_bin(expected, drawn[id]);
    } else {
      rare_expected += expected;
      rare_drawn += drawn[id];
    }
  }
  if (rare_expected > 1) add_bin(rare_expected, rare_drawn);
  EXPECT_GT(num_bins, 2);
  EXPECT_LT(statistic, chi_square_limit(num_bins - 1)) << num_bins << " bins";
}

const Past kPast = {.prompt = {1, 2, 3, 3, 5}, .generated = {7, 7, 7, 2, 9}, .stop_tokens = {4, 6}};

INSTANTIATE_TEST_SUITE_P(
    Sampler, EveryDistribution,
    ::testing::Values(
        Distribution{"Plain", {}}, Distribution{"Hot", {.temperature = 2.5f}},
        Distribution{"Cold", {.temperature = 0.3f}}, Distribution{"TopK", {.top_k = 12}},
        Distribution{"TopKOfAll", {.temperature = 2, .top_k = 290}}, Distribution{"TopP", {.top_p = 0.9f}},
        Distribution{"TopPHot", {.temperature = 5, .top_p = 0.7f}}, Distribution{"MinP", {.min_p = 0.05f}},
        Distribution{"Typical", {.temperature = 1.5f, .typical_p = 0.6f}},
        Distribution{"TopKTopP", {.temperature = 1.5f, .top_p = 0.8f, .top_k = 20}},
        Distribution{"MinPTopKTopPTypical",
                     {.temperature = 1.6f, .top_p = 0.95f, .top_k = 40, .min_p = 0.02f, .typical_p = 0.9f}},
        Distribution{"Frequency", {.frequency_penalty = 0.7f}, kPast},
        Distribution{"Presence", {.presence_penalty = 1.5f}, kPast},
        Distribution{"Repetition", {.repetition_penalty = 1.8f}, kPast},
        Distribution{
            "AllPenalties", {.frequency_penalty = -0.4f, .presence_penalty = 0.5f, .repetition_penalty = 0.7f}, kPast},
        Distribution{"Bias", {.logit_bias = {{3, 6.0f}, {4, -100.0f}, {8, 4.5f}}}},
        Distribution{"Allowed", {.allowed_token_ids = {2, 3, 5, 7, 11, 13}}},
        Distribution{"BadWords", {.bad_words = {{10}, {9, 20}, {2, 9, 30}, {8, 9, 40}, {9, 2, 50}}}, kPast},
        Distribution{"MinTokens", {.logit_bias = {{4, 5.0f}}, .min_tokens = 6}, kPast}),
    [](const auto& test) { return test.param.name; });

TEST(Sampler, GreedyTakesTheFirstOfEqualMaxima) {
  auto logits = random_logits(3, 1000);
  logits[437] = logits[438] = logits[999] = 50;
  EXPECT_EQ(sample(logits, {.temperature = 0})->id, 437);
  logits[5] = 50;
  EXPECT_EQ(sample(logits, {.temperature = 0})->id, 5);
  EXPECT_EQ(sample(logits, {.temperature = 0, .logit_bias = {{999, 1.0f}}})->id, 999);
  EXPECT_EQ(sample(std::vector<float>{-5, -3, -4}, {.temperature = 0})->id, 1);
}

TEST(Sampler, TopKOfEqualsKeepsTheLowestIds) {
  const std::vector<float> logits(500, 1.0f);
  for (uint64_t seed = 0; seed < 200; ++seed) EXPECT_LT(sample(logits, {.top_k = 3}, {.seed = seed})->id, 3);
}

TEST(Sampler, TopPNeverLeavesNothing) {
  const auto logits = random_logits(4);
  const auto best = sample(logits, {.temperature = 0})->id;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(sample(logits, {.top_p = 1e-6f}, {.seed = seed})->id, best);
    EXPECT_EQ(sample(logits, {.top_k = 1}, {.seed = seed})->id, best);
    EXPECT_EQ(sample(logits, {.min_p = 1}, {.seed = seed})->id, best);
  }
}

TEST(Sampler, StopTokensAreExcludedOnlyBeforeMinTokens) {
  auto logits = random_logits(5);
  logits[4] = 30;
  Past past = {.prompt = {1}, .stop_tokens = {4}};
  EXPECT_NE(sample(logits, {.temperature = 0, .min_tokens = 1}, past)->id, 4);
  past.generated = {8};
  EXPECT_EQ(sample(logits, {.temperature = 0, .min_tokens = 1}, past)->id, 4);
}

TEST(Sampler, DrawsDependOnSeedSampleAndPositionOnly) {
  const auto logits = random_logits(6);
  Sampler busy(kVocab);
  const SamplingParams params;
  std::vector<TokenId> first, second, other_sample, other_seed;
  for (int64_t position = 0; position < 50; ++position) {
    first.push_back(busy.sample(logits, {params, {}, {}, {}, 9, 0, position})->id);
    (void)busy.sample(random_logits(static_cast<uint32_t>(position)), {params, {}, {}, {}, 77, 0, 3});
    other_sample.push_back(busy.sample(logits, {params, {}, {}, {}, 9, 1, position})->id);
    other_seed.push_back(busy.sample(logits, {params, {}, {}, {}, 10, 0, position})->id);
  }
  for (int64_t position = 49; position >= 0; --position)
    second.insert(second.begin(), Sampler(kVocab).sample(logits, {params, {}, {}, {}, 9, 0, position})->id);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other_sample);
  EXPECT_NE(first, other_seed);
}

TEST(Sampler, NoDistributionIsAnError) {
  auto logits = random_logits(7);
  EXPECT_THAT(sample(logits, {.temperature = 0, .allowed_token_ids = {1}, .bad_words = {{1}}}).error().message,
              ::testing::HasSubstr("excludes every token"));
  const std::vector<uint32_t> only_1 = {2};
  const SamplingParams nothing_left{.temperature = 0, .allowed_token_ids = {2}, .bad_words = {{1}}};
  EXPECT_EQ(Sampler(kVocab).sample(logits, {nothing_left, {}, {}, {}, 9, 0, 0, only_1})->id, 1)
      << "a constraint goes before what the request allows";
  logits[200] = NAN;
  EXPECT_THAT(sample(logits, {.temperature = 0}).error().message, ::testing::HasSubstr("NaN"));
  EXPECT_THAT(sample(logits, {}).error().message, ::testing::HasSubstr("NaN"));
  logits[200] = INFINITY;
  EXPECT_FALSE(sample(logits, {}));
}

TEST(Sampler, AWholeVocabularyIsCoveredToItsLastToken) {
  const int32_t vocab_size = 151936;
  std::vector<float> logits(vocab_size, -200.0f);
  logits[vocab_size - 1] = 10;
  logits[0] = 10;
  std::set<TokenId> seen;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    seen.insert(sample(logits, {}, {.seed = seed})->id);
    seen.insert(sample(logits, {.top_p = 0.99f}, {.seed = seed})->id);
    seen.insert(sample(logits, {.top_k = 2}, {.seed = seed})->id);
  }
  EXPECT_EQ(seen, (std::set<TokenId>{0, vocab_size - 1}));
}

TEST(Sampler, ManyUnlikelyTokensCountForWhatTheyAreTogether) {
  std::vector<float> logits(100000, -9);  // 12 times the weight of the one at 0
  logits[500] = 0;
  int num_likeliest = 0;
  for (uint64_t seed = 0; seed < 300; ++seed)
    num_likeliest += sample(logits, {.top_p = 0.99f}, {.seed = seed})->id == 500;
  EXPECT_NEAR(num_likeliest, 300 / 13.3, 15);
}

TEST(Sampler, RepetitionPenaltyMakesNegativeLogitsMoreNegative) {
  const std::vector<float> logits = {-1.0f, -1.5f, -9.0f};
  EXPECT_EQ(sample(logits, {.temperature = 0, .repetition_penalty = 2}, {.prompt = {0}})->id, 1);
  EXPECT_EQ(sample(logits, {.temperature = 0, .repetition_penalty = 2}, {.generated = {0}})->id, 1);
  EXPECT_EQ(sample(logits, {.temperature = 0, .frequency_penalty = 2}, {.prompt = {0}})->id, 0);
}

TEST(Logprobs, AreThoseOfTheUnmodifiedDistribution) {
  auto logits = random_logits(8);
  logits[20] = logits[10] = 12;  // equal: the lower id ranks first
  const auto token = sample(logits, {.temperature = 0.1f, .top_k = 1, .logit_bias = {{33, 100.0f}}, .logprobs = 5});
  EXPECT_EQ(token->id, 33);
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit));
  const auto expected = [&](TokenId id) { return static_cast<double>(logits[id]) - std::log(sum); };
  ASSERT_TRUE(token->logprob);
  EXPECT_EQ(token->logprob->id, 33);
  EXPECT_NEAR(token->logprob->logprob, expected(33), 1e-5);
  EXPECT_EQ(token->logprob->rank, 1 + std::ranges::count_if(logits, [&](float x) { return x > logits[33]; }));

  std::vector<TokenId> order(kVocab);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order,
                    [&](TokenId a, TokenId b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  ASSERT_EQ(token->top_logprobs.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(token->top_logprobs[i].id, order[i]);
    EXPECT_EQ(token->top_logprobs[i].rank, i + 1);
    EXPECT_NEAR(token->top_logprobs[i].logprob, expected(order[i]), 1e-5);
  }
  EXPECT_EQ(order[0], 10);
  EXPECT_EQ(order[1], 20);
  std::vector<float> scratch(kVocab);
  EXPECT_EQ(Logprobs(logits, scratch).of(20).rank, 2);
}

TEST(Logprobs, AreGivenOnlyWhenAskedFor) {
  const auto logits = random_logits(9);
  EXPECT_FALSE(sample(logits, {})->logprob);
  const auto zero = sample(logits, {.logprobs = 0});
  EXPECT_TRUE(zero->logprob);
  EXPECT_TRUE(zero->top_logprobs.empty());
  EXPECT_EQ(sample(logits, {.logprobs = kVocab})->top_logprobs.size(), static_cast<size_t>(kVocab));
  const auto prompt = Sampler(kVocab).prompt_logprobs(logits, 7, 2);
  ASSERT_EQ(prompt.size(), 3u);
  EXPECT_EQ(prompt[0].id, 7);
  EXPECT_EQ(prompt[1].rank, 1);
}

TEST(RowMath, ExpAgreesWithTheLibrary) {
  std::vector<float> x, out;
  for (float v = 0; v > -120; v -= 0.0137f) x.push_back(v);
  x.push_back(-INFINITY);
  out.resize(x.size());
  for (float temperature : {0.2f, 1.0f, 3.0f}) {
    row_exp(x, 0, temperature, out);
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = std::exp(static_cast<double>(x[i]) / static_cast<double>(temperature));
      if (expected > 1e-37)
        ASSERT_NEAR(out[i] / expected, 1, 1e-5) << x[i];
      else
        ASSERT_LE(out[i], 2e-37) << x[i];
    }
    EXPECT_EQ(out[0], 1.0f);
    EXPECT_EQ(out.back(), 0.0f);
  }
}

TEST(RowMath, SumsAndMaximaAtEveryLength) {
  for (size_t n = 1; n < 70; ++n) {
    std::vector<float> row(n);
    std::iota(row.begin(), row.end(), -30.0f);
    EXPECT_EQ(row_sum(row), std::accumulate(row.begin(), row.end(), 0.0));
    EXPECT_EQ(row_max(row)->id, static_cast<TokenId>(n) - 1);
    row[n / 2] = 1000;
    EXPECT_EQ(row_max(row)->id, static_cast<TokenId>(n / 2));
    row[n - 1] = NAN;
    EXPECT_FALSE(row_max(row));
  }
}

TEST(RowMath, FindsWhatIsAboveAtEveryLength) {
  for (size_t n = 0; n < 70; ++n) {
    std::vector<float> row(n);
    std::vector<TokenId> ids = {-1}, expected = {-1};
    for (size_t i = 0; i < n; ++i) {
      row[i] = i % 19 == 3 || i + 1 == n ? 0.5f : 0.25f;
      if (row[i] > 0.25f) expected.push_back(static_cast<TokenId>(i));
    }
    row_above(row, 0.25f, ids);
    EXPECT_EQ(ids, expected);
  }
}

// Known answers of the authors' Random123 library (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(SamplingParamsCheck, NamesTheParameterAndTheRange) {
  const auto message = [](const SamplingParams& params) {
    const auto status = check_params(params, kVocab);
    if (!status) {
      EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
    }
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.temperature = -1}), "[sampling] temperature: expected a number not below 0, got -1");
  EXPECT_THAT(message({.temperature = NAN}), ::testing::HasSubstr("temperature"));
  EXPECT_THAT(message({.top_p = 0}), ::testing::HasSubstr("top_p"));
  EXPECT_THAT(message({.top_p = 1.5f}), ::testing::HasSubstr("top_p"));
  EXPECT_THAT(message({.top_k = -1}), ::testing::HasSubstr("top_k"));
  EXPECT_THAT(message({.min_p = -0.1f}), ::testing::HasSubstr("min_p"));
  EXPECT_THAT(message({.typical_p = 0}), ::testing::HasSubstr("typical_p"));
  EXPECT_THAT(message({.frequency_penalty = NAN}), ::testing::HasSubstr("frequency_penalty"));
  EXPECT_THAT(message({.presence_penalty = INFINITY}), ::testing::HasSubstr("presence_penalty"));
  EXPECT_THAT(message({.repetition_penalty = 0}), ::testing::HasSubstr("repetition_penalty"));
  EXPECT_THAT(message({.logit_bias = {{kVocab, 1.0f}}}), ::testing::HasSubstr("logit_bias"));
  EXPECT_THAT(message({.logit_bias = {{1, NAN}}}), ::testing::HasSubstr("logit_bias"));
  EXPECT_THAT(message({.max_tokens = -1}), ::testing::HasSubstr("max_tokens"));
  EXPECT_THAT(message({.max_tokens = 3, .min_tokens = 4}), ::testing::HasSubstr("min_tokens"));
  EXPECT_THAT(message({.stop_token_ids = {-1}}), ::testing::HasSubstr("stop_token_ids"));
  EXPECT_EQ(message({.allowed_token_ids = {kVocab}}),
            "[sampling] allowed_token_ids: expected token ids 0 to 299, got 300");
  EXPECT_THAT(message({.bad_words = {{}}}), ::testing::HasSubstr("bad_words"));
  EXPECT_THAT(message({.bad_words = {{1, 900}}}), ::testing::HasSubstr("bad_words"));
  EXPECT_THAT(message({.logprobs = -1}), ::testing::HasSubstr("logprobs"));
  EXPECT_THAT(message({.prompt_logprobs = kVocab + 1}), ::testing::HasSubstr("prompt_logprobs"));
}

}  // namespace
}  // namespace retort
