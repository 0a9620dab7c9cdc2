#include "model/transformer.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/matmul.h"
#include "model/rope_table.h"
#include "model/weights.h"

namespace retort {
namespace {

// The feed-forward layer is wide: it is run on this many rows at a time, so that a long chunk's memory stays bounded.
constexpr int64_t kFfnRows = 512;
// Elements of work that are worth giving to another thread.
constexpr int64_t kGrainElements = 4096;

void grow(std::vector<float>& buffer, int64_t size) {
  if (buffer.size() < static_cast<size_t>(size)) buffer.resize(static_cast<size_t>(size));
}

}  // namespace

struct Transformer::Impl {
  Impl(Weights weights_in, const ModelConfig& config_in, Isa isa_in, ThreadPool& pool_in)
      : config(config_in),
        isa(isa_in),
        weights(std::move(weights_in)),
        rope(config),
        elementwise(elementwise_kernels(isa)),
        matmul(isa, pool_in),
        attention(isa, pool_in),
        pool(pool_in) {}

  std::span<const float> forward(std::span<const ForwardSequence> batch, KvStore& kv);
  void lay_out(std::span<const ForwardSequence> batch, const KvStore& kv);
  void embed(std::span<const ForwardSequence> batch);
  void store_keys(const LayerWeights& layer, const KvLayerView& kv);
  void run_attention(const LayerWeights& layer, const KvLayerView& kv);
  void drop_unwanted_rows(std::span<const ForwardSequence> batch);
  void run_ffn(const LayerWeights& layer, int64_t first_row, int64_t rows);
  int64_t gather_last(std::span<const ForwardSequence> batch, bool wants_hidden);
  std::span<const float> run_head(std::span<const ForwardSequence> batch);
  void keep_hidden(std::span<const ForwardSequence> batch);

  void norm_rows(const float* in, int64_t rows, const std::vector<float>& weight);
  void rotate(const LayerWeights& layer);
  void rotate_heads(float* heads, int64_t num_heads, const std::vector<float>& norm, int64_t row) const;
  template <class Body>
  void for_each_row(int64_t rows, int64_t row_elements, Body&& body);

  const ModelConfig config;
  const Isa isa;
  const Weights weights;
  const RopeTable rope;
  const ElementwiseKernels& elementwise;
  Matmul matmul;
  Attention attention;
  ThreadPool& pool;

  // Of the current step. A row is one token; from the last layer's attention on, one that is asked for.
  int64_t num_rows = 0;
  std::vector<AttentionSequence> sequences;
  // Buffers that grow and are reused.
  std::vector<float> cos, sin;  // [num_rows, head_dim / 2]
  std::vector<float> hidden;    // [num_rows, hidden_size], the residual stream
  Activations normed;           // [rows, hidden_size]
  std::vector<float> q;         // [num_rows, num_heads * head_dim]
  std::vector<float> k, v;      // [num_rows, num_kv_heads * head_dim]
  Activations attended;         // [num_rows, num_heads * head_dim]
  std::vector<float> gate, up;  // [rows ≤ kFfnRows, ffn_size]
  Activations gated;            // [rows ≤ kFfnRows, ffn_size]
  std::vector<float> last;      // [num_logits, hidden_size]
  std::vector<float> states;    // [rows of sequences that want hidden states, hidden_size]
  std::vector<float> logits;    // [num_logits, vocab_size]
};

std::span<const float> Transformer::Impl::forward(std::span<const ForwardSequence> batch, KvStore& kv) {
  lay_out(batch, kv);
  embed(batch);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    KvLayerView keys = kv.layer(i);
    keys.key_scales = weights.layer(i).key_scales.data();
    store_keys(weights.layer(i), keys);
    if (i == config.num_layers - 1) drop_unwanted_rows(batch);
    if (num_rows == 0) break;
    run_attention(weights.layer(i), keys);
    for (int64_t row = 0; row < num_rows; row += kFfnRows)
      run_ffn(weights.layer(i), row, std::min(kFfnRows, num_rows - row));
  }
  keep_hidden(batch);
  return run_head(batch);
}

// q, k, v = norm(hidden), k and v to where attention reads them.
void Transformer::Impl::store_keys(const LayerWeights& layer, const KvLayerView& kv) {
  norm_rows(hidden.data(), num_rows, layer.attention_norm);
  matmul.run(normed, {layer.q.into(q.data()), layer.k.into(k.data()), layer.v.into(v.data())});
  rotate(layer);
  attention.store(k.data(), v.data(), sequences, kv);
}

// hidden += attention(q)
void Transformer::Impl::run_attention(const LayerWeights& layer, const KvLayerView& kv) {
  attended.resize(num_rows, config.num_heads * config.head_dim);
  attention.run(q.data(), static_cast<int>(config.num_heads), sequences, kv, attended.row(0));
  matmul.run(attended, {layer.attention_output.added_to(hidden.data())});
}

// hidden += down(silu(gate(norm(hidden))) · up(norm(hidden))), for these rows
void Transformer::Impl::run_ffn(const LayerWeights& layer, int64_t first_row, int64_t rows) {
  float* residual = hidden.data() + first_row * config.hidden_size;
  norm_rows(residual, rows, layer.ffn_norm);
  matmul.run(normed, {layer.gate.into(gate.data()), layer.up.into(up.data())});
  gated.resize(rows, config.ffn_size);
  // Cut by elements and not by rows: a single row is worth sharing too.
  const int64_t size = rows * config.ffn_size;
  const int64_t num_pieces = (size + kGrainElements - 1) / kGrainElements;
  pool.parallel_for(static_cast<size_t>(num_pieces), 1, [&](size_t begin, size_t end, int) {
    const int64_t first = static_cast<int64_t>(begin) * kGrainElements;
    const int64_t count = std::min(static_cast<int64_t>(end) * kGrainElements, size) - first;
    elementwise.silu_mul(gate.data() + first, up.data() + first, count, gated.row(0) + first);
  });
  matmul.run(gated, {layer.down.added_to(residual)});
}

// Where each sequence's rows lie, and room for them.
void Transformer::Impl::lay_out(std::span<const ForwardSequence> batch, const KvStore& kv) {
  sequences.clear();
  num_rows = 0;
  for (const ForwardSequence& sequence : batch) {
    const auto rows = static_cast<int64_t>(sequence.tokens.size());
    RETORT_CHECK(rows > 0 && sequence.first_position >= 0 && sequence.num_logits >= 0 && sequence.num_logits <= rows);
    const int64_t num_blocks = (sequence.first_position + rows + kBlockTokens - 1) / kBlockTokens;
    RETORT_CHECK(static_cast<int64_t>(sequence.block_table.size()) >= num_blocks);
    for (int64_t i = 0; i < num_blocks; ++i) {
      const int32_t block = sequence.block_table[static_cast<size_t>(i)];
      RETORT_CHECK(block >= 0 && block < kv.num_blocks());
    }
    sequences.push_back({num_rows, rows, sequence.first_position, sequence.block_table});
    num_rows += rows;
  }
  const int64_t kv_size = config.num_kv_heads * config.head_dim, ffn_rows = std::min(num_rows, kFfnRows);
  grow(cos, num_rows * rope.num_pairs());
  grow(sin, num_rows * rope.num_pairs());
  grow(hidden, num_rows * config.hidden_size);
  grow(q, num_rows * config.num_heads * config.head_dim);
  grow(k, num_rows * kv_size);
  grow(v, num_rows * kv_size);
  grow(gate, ffn_rows * config.ffn_size);
  grow(up, ffn_rows * config.ffn_size);
}

// Once the last layer's keys and values are stored, nothing reads the other rows of a prompt any more: from here on a
// sequence has num_logits rows.
void Transformer::Impl::drop_unwanted_rows(std::span<const ForwardSequence> batch) {
  const int64_t q_size = config.num_heads * config.head_dim;
  num_rows = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    AttentionSequence& sequence = sequences[i];
    const int64_t rows = batch[i].num_logits, dropped = sequence.num_rows - rows, from = sequence.first_row + dropped;
    std::copy_n(hidden.data() + from * config.hidden_size, rows * config.hidden_size,
                hidden.data() + num_rows * config.hidden_size);
    std::copy_n(q.data() + from * q_size, rows * q_size, q.data() + num_rows * q_size);
    sequence = {num_rows, rows, sequence.first_position + dropped, sequence.block_table};
    num_rows += rows;
  }
}

// Rows of hidden from the embedding, and the angles of each row's position.
void Transformer::Impl::embed(std::span<const ForwardSequence> batch) {
  for (size_t i = 0; i < batch.size(); ++i)
    for_each_row(sequences[i].num_rows, config.hidden_size, [&](int64_t row) {
      const int32_t token = batch[i].tokens[static_cast<size_t>(row)];
      RETORT_CHECK(token >= 0 && token < config.vocab_size);
      const int64_t batch_row = sequences[i].first_row + row;
      weights.embed(token, hidden.data() + batch_row * config.hidden_size);
      const int64_t angles = batch_row * rope.num_pairs();
      rope.fill(sequences[i].first_position + row, cos.data() + angles, sin.data() + angles);
    });
}

// last = the rows that are left of those that want the one or the other; their number.
int64_t Transformer::Impl::gather_last(std::span<const ForwardSequence> batch, bool wants_hidden) {
  int64_t rows = 0;
  for (const ForwardSequence& sequence : batch)
    if (sequence.wants_hidden == wants_hidden) rows += sequence.num_logits;
  grow(last, rows * config.hidden_size);
  float* target = last.data();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].wants_hidden != wants_hidden) continue;
    target = std::copy_n(hidden.data() + sequences[i].first_row * config.hidden_size,
                         batch[i].num_logits * config.hidden_size, target);
  }
  return rows;
}

void Transformer::Impl::keep_hidden(std::span<const ForwardSequence> batch) {
  const int64_t rows = gather_last(batch, true);
  states.resize(static_cast<size_t>(rows * config.hidden_size));
  for_each_row(rows, config.hidden_size, [&](int64_t row) {
    const int64_t begin = row * config.hidden_size;
    elementwise.rms_norm(last.data() + begin, weights.output_norm().data(), config.rms_eps, config.hidden_size,
                         states.data() + begin);
  });
}

std::span<const float> Transformer::Impl::run_head(std::span<const ForwardSequence> batch) {
  const int64_t num_logits = gather_last(batch, false);
  if (num_logits == 0) return {};
  grow(logits, num_logits * config.vocab_size);
  norm_rows(last.data(), num_logits, weights.output_norm());
  matmul.run(normed, {{&weights.head(), nullptr, logits.data(), config.vocab_size}});
  return {logits.data(), static_cast<size_t>(num_logits * config.vocab_size)};
}

// normed = norm(in). in: [rows, hidden_size]
void Transformer::Impl::norm_rows(const float* in, int64_t rows, const std::vector<float>& weight) {
  normed.resize(rows, config.hidden_size);
  for_each_row(rows, config.hidden_size, [&](int64_t row) {
    elementwise.rms_norm(in + row * config.hidden_size, weight.data(), config.rms_eps, config.hidden_size,
                         normed.row(row));
  });
}

void Transformer::Impl::rotate(const LayerWeights& layer) {
  const int64_t q_size = config.num_heads * config.head_dim, kv_size = config.num_kv_heads * config.head_dim;
  for_each_row(num_rows, q_size + kv_size, [&](int64_t row) {
    rotate_heads(q.data() + row * q_size, config.num_heads, layer.q_norm, row);
    rotate_heads(k.data() + row * kv_size, config.num_kv_heads, layer.k_norm, row);
  });
}

// The heads of one row: normed where the architecture has it, then turned to the row's position.
void Transformer::Impl::rotate_heads(float* heads, int64_t num_heads, const std::vector<float>& norm,
                                     int64_t row) const {
  const auto turn = config.rope_style == RopeStyle::kNeox ? elementwise.rope_neox : elementwise.rope_interleaved;
  for (int64_t i = 0; i < num_heads; ++i) {
    float* head = heads + i * config.head_dim;
    if (!norm.empty()) elementwise.rms_norm(head, norm.data(), config.rms_eps, config.head_dim, head);
    turn(head, cos.data() + row * rope.num_pairs(), sin.data() + row * rope.num_pairs(), config.head_dim);
  }
}

template <class Body>
void Transformer::Impl::for_each_row(int64_t rows, int64_t row_elements, Body&& body) {
  const auto grain = static_cast<size_t>(std::max<int64_t>(1, kGrainElements / row_elements));
  pool.parallel_for(static_cast<size_t>(rows), grain, [&](size_t begin, size_t end, int) {
    for (size_t row = begin; row < end; ++row) body(static_cast<int64_t>(row));
  });
}

Result<Transformer> Transformer::load(const Checkpoint& checkpoint, Isa isa, ThreadPool& pool) {
  RETORT_ASSIGN(auto weights, Weights::load(checkpoint, pool));
  return Transformer(std::make_unique<Impl>(std::move(weights), checkpoint.config(), isa, pool));
}

Transformer::Transformer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transformer::Transformer(Transformer&&) noexcept = default;
Transformer& Transformer::operator=(Transformer&&) noexcept = default;
Transformer::~Transformer() = default;

TunedKernels Transformer::tune_kernels(const KernelTuningRequest& request) {
  const auto matrices = impl_->weights.most_read_matrices(kLargestMeasured);
  return retort::tune_kernels(impl_->matmul, matrices, impl_->isa, impl_->pool.num_threads(), request);
}

const ModelConfig& Transformer::config() const { return impl_->config; }
size_t Transformer::weight_bytes() const { return impl_->weights.num_bytes(); }
size_t Transformer::bytes_per_token() const { return impl_->weights.matrix_bytes(); }
std::span<const float> Transformer::forward(std::span<const ForwardSequence> batch, KvStore& kv) {
  return impl_->forward(batch, kv);
}
std::span<const float> Transformer::hidden() const { return impl_->states; }

}  // namespace retort
