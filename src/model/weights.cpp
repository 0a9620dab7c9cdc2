#include "model/weights.h"

#include "formats/codecs.h"
#include "model/key_scales.h"

namespace retort {
namespace {

Status refuse_unknown_tensors(const Checkpoint& checkpoint) {
  const auto unknown = checkpoint.unknown_tensors();
  if (unknown.empty()) return {};
  const std::string more = unknown.size() > 1 ? fmt::format(" and {} more", unknown.size() - 1) : "";
  return fail(ErrorKind::kUnsupported,
              "[model] tensor {}{}: not part of architecture '{}' with {} layers as supported here",
              printable(unknown.front()), more, checkpoint.config().architecture, checkpoint.config().num_layers);
}

}  // namespace

Result<Weights> Weights::load(const Checkpoint& checkpoint, ThreadPool& pool) {
  RETORT_TRY(refuse_unknown_tensors(checkpoint));
  const ModelConfig& config = checkpoint.config();
  Weights weights(checkpoint);
  RETORT_ASSIGN(weights.output_norm_, weights.vector("output_norm.weight", config.hidden_size));
  const char* head_name = config.tie_embeddings ? "token_embd.weight" : "output.weight";
  RETORT_ASSIGN(weights.head_, weights.matrix(head_name, config.vocab_size, config.hidden_size, pool));
  if (!config.tie_embeddings) {
    RETORT_ASSIGN(weights.embedding_, checkpoint.get("token_embd.weight", {config.vocab_size, config.hidden_size}));
    if (config.hidden_size % info_of(weights.embedding_->type).block_elements != 0)
      return fail(ErrorKind::kBadInput, "[model] tensor {}: expected rows of whole {} blocks, got {} elements",
                  weights.embedding_->name, info_of(weights.embedding_->type).name, config.hidden_size);
  }
  weights.layers_.resize(static_cast<size_t>(config.num_layers));
  for (int64_t i = 0; i < config.num_layers; ++i) RETORT_TRY(weights.load_layer(i, pool));
  return weights;
}

Status Weights::load_layer(int64_t layer_idx, ThreadPool& pool) {
  const ModelConfig& config = checkpoint_.config();
  const std::string prefix = fmt::format("blk.{}.", layer_idx);
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const int64_t q_size = config.num_heads * config.head_dim, kv_size = config.num_kv_heads * config.head_dim;
  LayerWeights& layer = layers_[static_cast<size_t>(layer_idx)];
  RETORT_ASSIGN(layer.attention_norm, vector(prefix + "attn_norm.weight", hidden));
  RETORT_ASSIGN(layer.ffn_norm, vector(prefix + "ffn_norm.weight", hidden));
  if (config.has_qk_norm) {
    RETORT_ASSIGN(layer.q_norm, vector(prefix + "attn_q_norm.weight", config.head_dim));
    RETORT_ASSIGN(layer.k_norm, vector(prefix + "attn_k_norm.weight", config.head_dim));
  }
  RETORT_ASSIGN(layer.q, linear(prefix + "attn_q", q_size, hidden, pool));
  RETORT_ASSIGN(const TensorView* k_weight, checkpoint_.get(prefix + "attn_k.weight", {kv_size, hidden}));
  const std::vector<float> k_spread = key_spread(*k_weight, layer.attention_norm);  // before its file pages go
  RETORT_ASSIGN(layer.k, linear(prefix + "attn_k", kv_size, hidden, pool));
  layer.key_scales = key_scales(config, k_spread, layer.k.bias, layer.k_norm);
  RETORT_ASSIGN(layer.v, linear(prefix + "attn_v", kv_size, hidden, pool));
  RETORT_ASSIGN(layer.attention_output, linear(prefix + "attn_output", hidden, q_size, pool));
  RETORT_ASSIGN(layer.gate, linear(prefix + "ffn_gate", ffn, hidden, pool));
  RETORT_ASSIGN(layer.up, linear(prefix + "ffn_up", ffn, hidden, pool));
  RETORT_ASSIGN(layer.down, linear(prefix + "ffn_down", hidden, ffn, pool));
  return {};
}

Result<std::vector<float>> Weights::vector(std::string_view name, int64_t size) {
  RETORT_ASSIGN(const TensorView* tensor, checkpoint_.get(name, {size}));
  std::vector<float> values(static_cast<size_t>(size));
  dequantize(tensor->type, tensor->data, values);
  num_bytes_ += values.size() * sizeof(float);
  return values;
}

Result<PackedMatrix> Weights::matrix(std::string_view name, int64_t num_outputs, int64_t num_inputs, ThreadPool& pool) {
  RETORT_ASSIGN(const TensorView* tensor, checkpoint_.get(name, {num_outputs, num_inputs}));
  RETORT_ASSIGN(auto packed, PackedMatrix::pack(*tensor, pool));
  checkpoint_.release(*tensor);
  num_bytes_ += packed.num_bytes();
  matrix_bytes_ += packed.num_bytes();
  return packed;
}

Result<Linear> Weights::linear(std::string_view name, int64_t num_outputs, int64_t num_inputs, ThreadPool& pool) {
  Linear linear;
  RETORT_ASSIGN(linear.weight, matrix(fmt::format("{}.weight", name), num_outputs, num_inputs, pool));
  const std::string bias_name = fmt::format("{}.bias", name);
  if (checkpoint_.find(bias_name) != nullptr) {
    RETORT_ASSIGN(linear.bias, vector(bias_name, num_outputs));
  }
  return linear;
}

void Weights::embed(int32_t token, float* out) const {
  if (embedding_ == nullptr) return head_.dequantize_row(token, out);
  const auto row_bytes = embedding_->data.size() / embedding_->shape[0];
  dequantize(embedding_->type, embedding_->data.subspan(static_cast<size_t>(token) * row_bytes, row_bytes),
             {out, static_cast<size_t>(embedding_->shape[1])});
}

}  // namespace retort
