#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/philox.h"
#include "engine/row_math.h"

namespace retort {
namespace {

constexpr float kGreedyBelow = 1e-5f;  // vLLM's _SAMPLING_EPS

}  // namespace

Result<SampledToken> Sampler::sample(std::span<const float> logits, const SampleInput& input) {
  const auto processed = process_logits(logits, input, processed_);
  const auto max = row_max(processed);
  if (!max && row_max(logits))
    return fail(ErrorKind::kBadInput, "[sampling] position {}: what the request asks for excludes every token",
                input.position);
  if (!max)
    return fail(ErrorKind::kInternal,
                "[sampling] logits of position {}: expected a distribution, got NaN or infinity. "
                "The model's file may be damaged: retort pull checks it against its hash",
                input.position);

  SampledToken out;
  out.id = input.params.temperature < kGreedyBelow ? max->id : draw(processed, max->value, input);
  if (input.params.logprobs) {
    const Logprobs logprobs(logits, weights_);
    out.logprob = logprobs.of(out.id);
    out.top_logprobs = logprobs.top(*input.params.logprobs);
  }
  return out;
}

TokenId Sampler::draw(std::span<const float> logits, float max, const SampleInput& input) {
  const SamplingParams& params = input.params;
  const double unit =
      random_unit(input.seed, static_cast<uint64_t>(input.sample_idx), static_cast<uint64_t>(input.position));
  row_exp(logits, max, params.temperature, weights_);
  if (params.min_p > 0)
    for (float& weight : weights_) weight = weight >= params.min_p ? weight : 0;
  if (params.top_k == 0 && params.top_p >= 1 && params.typical_p >= 1) return draw_from_weights(unit);

  const double total = row_sum(weights_);
  gather_candidates(params, total);
  if (params.top_k > 0) candidates_.keep_top_k(params.top_k);
  if (params.top_p < 1) candidates_.keep_mass(params.top_p * (params.top_k > 0 ? candidates_.mass() : total));
  if (params.typical_p < 1) candidates_.keep_typical(params.typical_p);
  return candidates_.draw(unit);
}

// No more tokens than the filters can leave: the many with next to no weight are looked at only if those above are not
// enough.
void Sampler::gather_candidates(const SamplingParams& params, double total) {
  for (const float floor : {3e-4f, 1e-7f, 0.0f}) {
    ids_.clear();
    row_above(weights_, floor, ids_);
    candidates_.clear();
    for (const TokenId id : ids_) candidates_.add(id, weights_[id]);
    const bool enough = params.top_k > 0   ? candidates_.size() >= static_cast<size_t>(params.top_k)
                        : params.top_p < 1 ? candidates_.mass() >= params.top_p * total
                                           : false;
    if (enough) return;
  }
}

// As Candidates::draw, but a block at a time: first the block in whose sum the point lies, then the place within it.
TokenId Sampler::draw_from_weights(double unit) const {
  constexpr size_t kBlock = 1024;
  const std::span weights(weights_);
  double rest = unit * row_sum(weights);
  for (size_t begin = 0; begin < weights.size(); begin += kBlock) {
    const auto block = weights.subspan(begin, std::min(kBlock, weights.size() - begin));
    if (const double sum = row_sum(block); rest >= sum) {
      rest -= sum;
      continue;
    }
    for (size_t i = 0; i < block.size(); ++i) {
      rest -= static_cast<double>(block[i]);
      if (rest < 0) return static_cast<TokenId>(begin + i);
    }
  }
  // Rounding kept the sums below their whole: the last token that has any weight.
  const auto last = std::find_if(weights_.rbegin(), weights_.rend(), [](float weight) { return weight > 0; });
  return static_cast<TokenId>(weights_.rend() - last) - 1;
}

}  // namespace retort
