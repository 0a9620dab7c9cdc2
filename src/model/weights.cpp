#include "model/weights.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "formats/codecs.h"
#include "kernels/pack_tile.h"
#include "model/key_scales.h"

namespace retort {
namespace {

Status check_tensors(const Checkpoint& checkpoint) {
  auto faults = checkpoint.tensor_faults();
  if (faults.empty()) return {};
  if (faults.size() > 1)
    faults.front().message += fmt::format(" (and {} more, which retort info lists)", faults.size() - 1);
  return tl::unexpected<Error>(std::move(faults.front()));
}

}  // namespace

Result<Weights> Weights::load(const Checkpoint& checkpoint, ThreadPool& pool) {
  RETORT_TRY(check_tensors(checkpoint));
  const ModelConfig& config = checkpoint.config();
  Weights weights(checkpoint);
  weights.output_norm_ = weights.vector("output_norm.weight");
  RETORT_ASSIGN(weights.head_, weights.matrix(config.tie_embeddings ? "token_embd.weight" : "output.weight", pool));
  if (!config.tie_embeddings) weights.embedding_ = checkpoint.find("token_embd.weight");
  weights.layers_.resize(static_cast<size_t>(config.num_layers));
  for (int64_t i = 0; i < config.num_layers; ++i) RETORT_TRY(weights.load_layer(i, pool));
  return weights;
}

Status Weights::load_layer(int64_t layer_idx, ThreadPool& pool) {
  const ModelConfig& config = checkpoint_.config();
  const std::string prefix = fmt::format("blk.{}.", layer_idx);
  LayerWeights& layer = layers_[static_cast<size_t>(layer_idx)];
  layer.attention_norm = vector(prefix + "attn_norm.weight");
  layer.ffn_norm = vector(prefix + "ffn_norm.weight");
  if (config.has_qk_norm) {
    layer.q_norm = vector(prefix + "attn_q_norm.weight");
    layer.k_norm = vector(prefix + "attn_k_norm.weight");
  }
  RETORT_ASSIGN(layer.q, linear(prefix + "attn_q", pool));
  const std::vector<float> k_spread =
      key_spread(tensor(prefix + "attn_k.weight"), layer.attention_norm);  // before its file pages go
  RETORT_ASSIGN(layer.k, linear(prefix + "attn_k", pool));
  layer.key_scales = key_scales(config, k_spread, layer.k.bias, layer.k_norm);
  RETORT_ASSIGN(layer.v, linear(prefix + "attn_v", pool));
  RETORT_ASSIGN(layer.attention_output, linear(prefix + "attn_output", pool));
  RETORT_ASSIGN(layer.gate, linear(prefix + "ffn_gate", pool));
  RETORT_ASSIGN(layer.up, linear(prefix + "ffn_up", pool));
  RETORT_ASSIGN(layer.down, linear(prefix + "ffn_down", pool));
  return {};
}

const TensorView& Weights::tensor(std::string_view name) const {
  const TensorView* found = checkpoint_.find(name);
  RETORT_CHECK(found != nullptr);  // check_tensors has seen it
  return *found;
}

std::vector<float> Weights::vector(std::string_view name) {
  const TensorView& stored = tensor(name);
  std::vector<float> values(stored.num_elements());
  dequantize(stored.type, stored.data, values);
  num_bytes_ += values.size() * sizeof(float);
  return values;
}

Result<PackedMatrix> Weights::matrix(std::string_view name, ThreadPool& pool) {
  const TensorView& stored = tensor(name);
  RETORT_ASSIGN(auto packed, PackedMatrix::pack(stored, pool));
  checkpoint_.release(stored);
  num_bytes_ += packed.num_bytes();
  matrix_bytes_ += packed.num_bytes();
  return packed;
}

Result<Linear> Weights::linear(const std::string& name, ThreadPool& pool) {
  Linear linear;
  RETORT_ASSIGN(linear.weight, matrix(name + ".weight", pool));
  if (checkpoint_.find(name + ".bias") != nullptr) linear.bias = vector(name + ".bias");
  return linear;
}

std::vector<const PackedMatrix*> Weights::most_read_matrices(size_t largest) const {
  std::map<std::tuple<TensorType, int64_t, int64_t>, std::vector<const PackedMatrix*>> alike;
  for (const LayerWeights& layer : layers_)
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.attention_output, &layer.gate, &layer.up, &layer.down}) {
      const PackedMatrix& matrix = linear->weight;
      if (tile_format(matrix.type()) != nullptr)
        alike[{matrix.type(), matrix.num_outputs(), matrix.num_inputs()}].push_back(&matrix);
    }
  if (alike.empty()) return {};
  const auto rank = [&](const auto& entry) {
    const size_t bytes = entry.second.front()->num_bytes();
    return std::pair(bytes <= largest, entry.second.size() * bytes);
  };
  return std::ranges::max_element(alike, {}, rank)->second;
}

void Weights::embed(int32_t token, float* out) const {
  if (embedding_ == nullptr) return head_.dequantize_row(token, out);
  const auto row_bytes = embedding_->data.size() / embedding_->shape[0];
  dequantize(embedding_->type, embedding_->data.subspan(static_cast<size_t>(token) * row_bytes, row_bytes),
             {out, static_cast<size_t>(embedding_->shape[1])});
}

}  // namespace retort
