#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "formats/codecs.h"
#include "kernels/attention_problem.h"

namespace retort {
namespace {

std::vector<float> last_rows(const std::vector<float>& out, const Shape& shape, int64_t num_rows) {
  return {out.end() - num_rows * static_cast<int64_t>(shape.q_stride()), out.end()};
}

// One head of one token, as the store gives it back.
std::vector<double> as_stored(const float* x, int head_dim, KvType type) {
  std::vector<double> out(x, x + head_dim);
  if (type == KvType::kBF16)
    for (double& value : out) value = bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
  if (type == KvType::kInt8) {
    const float largest =
        std::abs(*std::max_element(x, x + head_dim, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    for (double& value : out) value = std::nearbyint(static_cast<float>(value) * (127 / largest)) * (largest / 127);
  }
  return out;
}

// Whether queries, times the scale of scores, and weights are rounded to bf16.
bool rounds_to_bf16(Isa isa, KvType type) { return type == KvType::kBF16 && isa == Isa::kAvx512Bf16; }

struct Expected {
  std::vector<double> out;
  // Σ p |value - mean|: where each weight is off by up to ε of itself, and their sum with them, the mean is off by up
  // to ε / (1 - ε) times this.
  std::vector<double> spread;
  double bound(size_t i, double epsilon) const { return epsilon / (1 - epsilon) * spread[i]; }
};

// Plain softmax attention in double over keys and values as stored and, where asked, over queries rounded to bf16, of
// the rows from first_row on.
Expected reference(const RandomSequence& s, KvType type, bool round_queries, int64_t first_row = 0) {
  const auto dim = static_cast<size_t>(s.shape.head_dim), group = static_cast<size_t>(s.shape.group);
  std::vector<std::vector<double>> keys, values;  // [token * num_kv_heads + head]
  for (size_t i = 0; i < s.k.size(); i += dim) {
    keys.push_back(as_stored(s.k.data() + i, s.shape.head_dim, type));
    values.push_back(as_stored(s.v.data() + i, s.shape.head_dim, type));
  }
  const size_t first = static_cast<size_t>(first_row) * s.shape.q_stride();
  Expected expected{std::vector<double>(s.q.size() - first), std::vector<double>(s.q.size() - first)};
  std::vector<double> query(dim);
  for (auto row = static_cast<size_t>(first_row); row < static_cast<size_t>(s.length); ++row)
    for (size_t head = 0; head < static_cast<size_t>(s.shape.num_heads()); ++head) {
      const size_t offset = row * s.shape.q_stride() + head * dim;
      for (size_t d = 0; d < dim; ++d) {
        const float scaled = s.q[offset + d] * (1.0f / std::sqrt(static_cast<float>(dim)));
        query[d] =
            round_queries ? bf16_to_f32(f32_to_bf16(scaled)) : s.q[offset + d] / std::sqrt(static_cast<double>(dim));
      }
      const auto of_token = [&](size_t t) { return t * static_cast<size_t>(s.shape.num_kv_heads) + head / group; };
      std::vector<double> weights(row + 1);
      double max = -INFINITY, sum = 0;
      for (size_t t = 0; t <= row; ++t) {
        const double* key = keys[of_token(t)].data();
        for (size_t d = 0; d < dim; ++d) weights[t] += query[d] * key[d];
        max = std::max(max, weights[t]);
      }
      for (double& weight : weights) sum += weight = std::exp(weight - max);
      double *mean = expected.out.data() + offset - first, *spread = expected.spread.data() + offset - first;
      for (size_t t = 0; t <= row; ++t) {
        const double* value = values[of_token(t)].data();
        weights[t] /= sum;
        for (size_t d = 0; d < dim; ++d) mean[d] += weights[t] * value[d];
      }
      for (size_t t = 0; t <= row; ++t) {
        const double* value = values[of_token(t)].data();
        for (size_t d = 0; d < dim; ++d) spread[d] += weights[t] * std::abs(value[d] - mean[d]);
      }
    }
  return expected;
}

using Bits = std::vector<uint32_t>;
Bits bits(const std::vector<float>& values) {
  Bits out(values.size());
  std::memcpy(out.data(), values.data(), values.size() * 4);
  return out;
}

struct Path {
  Isa isa;
  KvType type;
};

class AttentionTest : public testing::TestWithParam<Path> {
 protected:
  ThreadPool pool{3};
  Attention attention{GetParam().isa, pool};
  KvType type = GetParam().type;
  bool rounds = rounds_to_bf16(GetParam().isa, type);
  // With int8 queries and weights are rounded to 16 bits.
  double tolerance(double of_floats) const { return type == KvType::kInt8 ? 4e-4 : of_floats; }
  // Of element i of what is expected of rounded queries: weights have 8 bits.
  double tolerance(double of_floats, const Expected& expected, size_t i) const {
    return tolerance(of_floats) + (rounds ? expected.bound(i, 0x1p-8) : 0);
  }
};

TEST_P(AttentionTest, AgreesWithSoftmaxInDouble) {
  // Head sizes up to the largest; groups beyond a tile's queries, below a register block, no multiple of either.
  const Shape shapes[] = {{2, 7, 8},   {1, 7, 16},  {2, 7, 24},  {1, 6, 64},  {1, 7, 80},
                          {2, 3, 96},  {2, 1, 64},  {2, 2, 64},  {1, 13, 64}, {1, 71, 16},
                          {1, 6, 128}, {1, 7, 128}, {2, 3, 136}, {1, 2, 256}, {1, 7, 512}};
  for (const Shape& shape : shapes) {
    const RandomSequence sequence(shape, 71, static_cast<uint32_t>(shape.head_dim * shape.group));
    const auto out = run_chunked(attention, sequence, type, {71});
    const auto expected = reference(sequence, type, rounds);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected.out[i], tolerance(8e-6, expected, i))
          << "head_dim " << shape.head_dim << ", group " << shape.group << ", element " << i;
  }
}

// What rounding queries and weights to bf16 costs at most: 2^-8 of every product of a score, and of every weight.
TEST_P(AttentionTest, RoundingCostsNoMoreThanItsBits) {
  if (!rounds) GTEST_SKIP() << "nothing is rounded to 8 bits";
  const Shape shape{1, 3, 80};
  const RandomSequence sequence(shape, 70, 13);
  const auto out = run_chunked(attention, sequence, type, {70});
  const auto exact = reference(sequence, type, false);
  double of_products = 0;  // the largest Σ |q k|
  for (size_t q = 0; q < sequence.q.size(); q += 80)
    for (size_t k = 0; k < sequence.k.size(); k += 80) {
      double sum = 0;
      for (size_t d = 0; d < 80; ++d) sum += std::abs(sequence.q[q + d] * sequence.k[k + d]) / std::sqrt(80.0);
      of_products = std::max(of_products, sum);
    }
  const double epsilon = std::exp(0x1p-8 * of_products) * (1 + 0x1p-8) - 1;
  for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], exact.out[i], exact.bound(i, epsilon) + 8e-6) << i;
}

// Of two tokens with scores 0 and -x, and values 0 and 1: w / (1 + w) comes out, where w stands for e^-x.
TEST_P(AttentionTest, WeightsAreExponentialsRoundedToNearest) {
  if (type == KvType::kInt8) GTEST_SKIP() << "weights are rounded in groups";
  const Shape shape{1, 2000, 16};
  RandomSequence sequence(shape, 2, 23);
  for (auto* x : {&sequence.q, &sequence.k, &sequence.v}) std::fill(x->begin(), x->end(), 0.0f);
  const auto x_of_head = [](size_t head) { return bf16_to_f32(f32_to_bf16(0.013f * static_cast<float>(head + 1))); };
  for (size_t head = 0; head < 2000; ++head) sequence.q[shape.q_stride() + head * 16] = 4 * x_of_head(head);
  sequence.k[16] = -1;
  sequence.v[16] = 1;
  const auto out = run_chunked(attention, sequence, type, {2});
  for (size_t head = 0; head < 2000; ++head) {
    const double share = out[shape.q_stride() + head * 16], expected = std::exp(-static_cast<double>(x_of_head(head)));
    const double half_step = rounds ? std::exp2(std::floor(std::log2(expected)) - 8) : 0;
    ASSERT_NEAR(share / (1 - share), expected, half_step + 4e-6 * expected) << "e^-" << x_of_head(head);
  }
}

// The sum that weights are divided by is that of the weights as they are multiplied, rounded or not.
TEST_P(AttentionTest, EqualValuesComeOutAsTheyAre) {
  RandomSequence sequence({1, 5, 64}, kSpanTokens + 70, 17);
  std::fill(sequence.v.begin(), sequence.v.end(), 1.5f);
  for (const float x : run_chunked(attention, sequence, type, {sequence.length}))
    ASSERT_NEAR(x, 1.5f, type == KvType::kInt8 ? 4e-4f : 3e-6f);
}

// Alone, queries of every number fill register blocks of every size; together, those of several rows share them. Every
// row ends at another token.
TEST_P(AttentionTest, EveryNumberOfQueriesGivesTheSameBits) {
  constexpr int kHeadDims[] = {8, 64, 80, 96, 128};
  for (int group = 1; group <= 14; ++group) {
    const RandomSequence sequence({1, group, kHeadDims[group % 5]}, 67, static_cast<uint32_t>(group));
    const auto whole = bits(run_chunked(attention, sequence, type, {67}));
    ASSERT_EQ(bits(run_chunked(attention, sequence, type, {1})), whole) << group << " queries";
    ASSERT_EQ(bits(run_chunked(attention, sequence, type, {5})), whole) << group << " queries";
  }
  const RandomSequence of_two_spans({1, 3, 40}, kSpanTokens + 9, 19);
  EXPECT_EQ(bits(run_chunked(attention, of_two_spans, type, {1})),
            bits(run_chunked(attention, of_two_spans, type, {of_two_spans.length})));
}

// Whatever they are: infinite and not a number where a model is broken.
TEST_P(AttentionTest, LaterTokensOfTheStepAreNotFelt) {
  for (const int64_t last : {44, 45}) {  // the second of a pair of tokens, and the first
    RandomSequence sequence({1, 2, 72}, 47, 43);
    const auto before = run_chunked(attention, sequence, type, {last, 47 - last});
    for (auto* x : {&sequence.k, &sequence.v}) std::fill(x->begin() + last * 72, x->end(), NAN);
    const auto out = run_chunked(attention, sequence, type, {47});
    const auto end = last * 2 * 72;
    EXPECT_EQ(bits({out.begin(), out.begin() + end}), bits({before.begin(), before.begin() + end}));
    EXPECT_TRUE(std::isnan(out.back()));
  }
}

TEST_P(AttentionTest, NanStaysVisible) {
  for (auto part : {&RandomSequence::q, &RandomSequence::k, &RandomSequence::v}) {
    RandomSequence sequence({1, 2, 72}, 47, 44);
    std::vector<float>& x = sequence.*part;
    x[x.size() - 72 + 5] = NAN;  // of the last token, its last head
    const auto out = run_chunked(attention, sequence, type, {47});
    EXPECT_TRUE(std::isnan(out[out.size() - 72 + 5]));
    EXPECT_TRUE(std::none_of(out.begin(), out.begin() + 46 * 2 * 72, [](float y) { return std::isnan(y); }));
  }
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  RandomSequence sequence({1, 2, 64}, 70, 11);
  for (float& x : sequence.q) x *= 60.0f;
  const auto out = run_chunked(attention, sequence, type, {70});
  const auto expected = reference(sequence, type, rounds);
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_NEAR(out[i], expected.out[i], type == KvType::kInt8 ? 0.3 : tolerance(2e-3, expected, i))
        << i;  // scores of some 1000: float32 ulps of e^x, and with int8 queries of 16 bits
}

TEST_P(AttentionTest, ChunkingChangesNoBit) {
  for (const Shape& shape : {Shape{2, 6, 128}, Shape{1, 7, 64}, Shape{3, 1, 80}, Shape{1, 3, 8}}) {
    const RandomSequence sequence(shape, 150, 21);
    const auto whole = bits(run_chunked(attention, sequence, type, {150}));
    EXPECT_EQ(bits(run_chunked(attention, sequence, type, {1})), whole) << "token by token";
    EXPECT_EQ(bits(run_chunked(attention, sequence, type, {7})), whole);
    EXPECT_EQ(bits(run_chunked(attention, sequence, type, {33, 1, 64, 5, 1})), whole);
    EXPECT_EQ(bits(run_chunked(attention, sequence, type, {97, 1})), whole);
  }
}

TEST_P(AttentionTest, NeighboursAndThreadsChangeNoBit) {
  const Shape shape{2, 6, 64};
  const RandomSequence a(shape, 90, 31), b(shape, 131, 32), c(shape, 33, 33);
  const auto alone = run_chunked(attention, a, type, {89, 1});
  ThreadPool single(1);
  Attention other(GetParam().isa, single);
  EXPECT_EQ(bits(run_chunked(other, a, type, {89, 1})), bits(alone));

  Store store(type, shape, 12);
  const auto table_a = store.take(a.length), table_b = store.take(b.length), table_c = store.take(c.length);
  run_step(attention, {{&b, &table_b, 0, 100}, {&a, &table_a, 0, 40}}, store.view);
  run_step(attention, {{&a, &table_a, 40, 89}, {&c, &table_c, 0, 32}}, store.view);
  const auto mixed =
      run_step(attention, {{&c, &table_c, 32, 33}, {&a, &table_a, 89, 90}, {&b, &table_b, 100, 131}}, store.view);
  const auto stride = static_cast<int64_t>(shape.q_stride());
  const std::vector<float> row(mixed.begin() + stride, mixed.begin() + 2 * stride);
  EXPECT_EQ(bits(row), bits({alone.end() - stride, alone.end()}));
}

// Rows at, before and after a span's end, where their chunk begins before, at and after it.
TEST_P(AttentionTest, SpansJoinToTheSoftmaxOfAllKeys) {
  for (const Shape& shape : {Shape{2, 3, 24}, Shape{1, 6, 64}}) {
    const RandomSequence sequence(shape, 2 * kSpanTokens + 37, 81);
    const int64_t first = kSpanTokens - 2;
    const auto expected = reference(sequence, type, rounds, first);
    for (const int64_t begin : {first, kSpanTokens - 1, kSpanTokens, kSpanTokens + 1, 2 * kSpanTokens - 3}) {
      const auto out = run_from(attention, sequence, type, begin);
      const size_t skipped = static_cast<size_t>(begin - first) * shape.q_stride();
      for (size_t i = 0; i < out.size(); ++i)
        ASSERT_NEAR(out[i], expected.out[skipped + i], tolerance(8e-6, expected, skipped + i))
            << "head_dim " << shape.head_dim << ", from row " << begin << ", element " << i;
    }
  }
}

// The last token of sequences that end at the borders of blocks and spans: with one thread nothing is split, with many
// each span is a piece; alone, beside others, or inside a chunk of many rows.
TEST_P(AttentionTest, SplittingChangesNoBit) {
  const Shape shape{2, 3, 64};
  const RandomSequence neighbour(shape, 3 * kSpanTokens + 5, 91);
  for (const int64_t length : {kSpanTokens - 1, kSpanTokens, kSpanTokens + 1, 2 * kSpanTokens, 2 * kSpanTokens + 1,
                               3 * kSpanTokens + kBlockTokens}) {
    const RandomSequence sequence(shape, length, static_cast<uint32_t>(length));
    std::vector<float> expected;
    for (const int num_threads : {1, 2, 8}) {
      ThreadPool threads(num_threads);
      Attention other(GetParam().isa, threads);
      const auto decoded = run_from(other, sequence, type, length - 1);
      const auto num_spans = static_cast<size_t>((length - 1) / kSpanTokens + 1);
      EXPECT_EQ(other.num_pieces(), num_threads == 1 ? 2 : 2 * num_spans) << length << " tokens";
      if (expected.empty()) expected = decoded;
      ASSERT_EQ(bits(decoded), bits(expected)) << length << " tokens, " << num_threads << " threads";
      ASSERT_EQ(bits(last_rows(run_from(other, sequence, type, length - 70), shape, 1)), bits(expected))
          << length << " tokens, in a chunk, " << num_threads << " threads";

      Store store(type, shape, 64);
      const auto table = store.take(length), its_table = store.take(neighbour.length);
      store_before(other, sequence, table, length - 1, store.view);
      store_before(other, neighbour, its_table, neighbour.length - 3, store.view);
      const auto beside = run_step(
          other,
          {{&neighbour, &its_table, neighbour.length - 3, neighbour.length}, {&sequence, &table, length - 1, length}},
          store.view);
      ASSERT_EQ(bits(last_rows(beside, shape, 1)), bits(expected))
          << length << " tokens beside others, " << num_threads << " threads";
    }
  }
}

// Blocks are reused without being cleared: what a former owner left must not be felt, whatever it was.
TEST_P(AttentionTest, StaleBytesAreNotRead) {
  const Shape shape{1, 2, 64};
  const RandomSequence sequence(shape, 45, 41);
  for (std::byte fill : {std::byte{0xff}, std::byte{0x7f}, std::byte{0x00}}) {
    Store store(type, shape, 2);
    std::memset(store.view.base, static_cast<int>(fill), 2 * store.view.block_stride);
    const auto table = store.take(sequence.length);
    EXPECT_EQ(bits(run_step(attention, {{&sequence, &table, 0, 45}}, store.view)),
              bits(run_chunked(attention, sequence, type, {45})));
  }
}

TEST_P(AttentionTest, AgreesWithScalarTwin) {
  if (rounds) GTEST_SKIP() << "the twin multiplies in float32";
  Attention twin(Isa::kScalar, pool);
  for (const Shape& shape : {Shape{2, 6, 128}, Shape{1, 7, 64}, Shape{3, 1, 80}, Shape{2, 3, 96}, Shape{1, 13, 24},
                             Shape{1, 3, 256}, Shape{2, 2, 512}}) {
    const RandomSequence sequence(shape, kSpanTokens + 44, 51);
    const auto out = run_chunked(attention, sequence, type, {sequence.length}),
               expected = run_chunked(twin, sequence, type, {sequence.length});
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected[i], tolerance(4e-6))
          << "head_dim " << shape.head_dim << ", group " << shape.group << ", element " << i;
  }
}

std::vector<Path> paths() {
  std::vector<Path> out;
  for (Isa isa : supported_isas())
    for (KvType type : {KvType::kF32, KvType::kBF16, KvType::kInt8}) out.push_back({isa, type});
  return out;
}

INSTANTIATE_TEST_SUITE_P(Paths, AttentionTest, testing::ValuesIn(paths()), [](const auto& entry) {
  std::string name(isa_name(entry.param.isa));
  std::erase(name, '-');
  const KvType type = entry.param.type;
  return name + (type == KvType::kF32 ? "F32" : type == KvType::kBF16 ? "Bf16" : "Int8");
});

}  // namespace
}  // namespace retort
