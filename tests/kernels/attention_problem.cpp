#include "kernels/attention_problem.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace retort {
namespace {

std::vector<float> random_floats(size_t size, uint32_t seed, float spread) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

}  // namespace

RandomSequence::RandomSequence(const Shape& shape_in, int64_t length_in, uint32_t seed)
    : shape(shape_in), length(length_in) {
  const auto n = static_cast<size_t>(length);
  q = random_floats(n * shape.q_stride(), seed, 1.5f);
  k = random_floats(n * shape.kv_stride(), seed + 1, 1.5f);
  v = random_floats(n * shape.kv_stride(), seed + 2, 1.0f);
}

Store::Store(KvType type, const Shape& shape, int num_blocks)
    : bytes_(kv_block_bytes(type, shape.num_kv_heads, shape.head_dim) * static_cast<size_t>(num_blocks),
             std::byte{0xff}),
      free_(static_cast<size_t>(num_blocks)) {
  std::iota(free_.begin(), free_.end(), 0);
  std::shuffle(free_.begin(), free_.end(), std::mt19937(7));
  view = {bytes_.data(), kv_block_bytes(type, shape.num_kv_heads, shape.head_dim), type, shape.num_kv_heads,
          shape.head_dim};
}

std::vector<int32_t> Store::take(int64_t num_tokens) {
  std::vector<int32_t> table;
  for (int64_t i = 0; i < num_tokens; i += kBlockTokens) {
    table.push_back(free_.back());
    free_.pop_back();
  }
  return table;
}

std::vector<float> run_step(Attention& attention, const std::vector<Part>& parts, const KvLayerView& kv) {
  const Shape& shape = parts[0].sequence->shape;
  std::vector<float> q, k, v;
  std::vector<AttentionSequence> sequences;
  int64_t row = 0;
  const auto append = [](std::vector<float>& to, const std::vector<float>& from, size_t stride, int64_t begin,
                         int64_t end) {
    to.insert(to.end(), from.begin() + static_cast<int64_t>(stride) * begin,
              from.begin() + static_cast<int64_t>(stride) * end);
  };
  for (const Part& part : parts) {
    append(q, part.sequence->q, shape.q_stride(), part.begin, part.end);
    append(k, part.sequence->k, shape.kv_stride(), part.begin, part.end);
    append(v, part.sequence->v, shape.kv_stride(), part.begin, part.end);
    sequences.push_back({row, part.end - part.begin, part.begin, *part.table});
    row += part.end - part.begin;
  }
  std::vector<float> out(q.size(), NAN);
  attention.store(k.data(), v.data(), sequences, kv);
  attention.run(q.data(), shape.num_heads(), sequences, kv, out.data());
  return out;
}

std::vector<float> run_chunked(Attention& attention, const RandomSequence& sequence, KvType type,
                               const std::vector<int64_t>& chunks) {
  Store store(type, sequence.shape, static_cast<int>(sequence.length / kBlockTokens + 3));
  const auto table = store.take(sequence.length);
  std::vector<float> out;
  size_t chunk_idx = 0;
  for (int64_t begin = 0; begin < sequence.length;) {
    const int64_t end = std::min(sequence.length, begin + chunks[std::min(chunk_idx++, chunks.size() - 1)]);
    const auto part = run_step(attention, {{&sequence, &table, begin, end}}, store.view);
    out.insert(out.end(), part.begin(), part.end());
    begin = end;
  }
  return out;
}

void store_before(Attention& attention, const RandomSequence& sequence, const std::vector<int32_t>& table,
                  int64_t num_tokens, const KvLayerView& kv) {
  const AttentionSequence rows{0, num_tokens, 0, table};
  if (num_tokens > 0) attention.store(sequence.k.data(), sequence.v.data(), {&rows, 1}, kv);
}

std::vector<float> run_from(Attention& attention, const RandomSequence& sequence, KvType type, int64_t begin) {
  Store store(type, sequence.shape, static_cast<int>(sequence.length / kBlockTokens + 3));
  const auto table = store.take(sequence.length);
  store_before(attention, sequence, table, begin, store.view);
  return run_step(attention, {{&sequence, &table, begin, sequence.length}}, store.view);
}

}  // namespace retort
