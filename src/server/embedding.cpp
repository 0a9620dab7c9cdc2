#include "server/embedding.h"

#include <cmath>

namespace retort {
namespace {

void normalise(std::vector<float>& vector) {
  double squares = 0;
  for (const float value : vector) squares += double{value} * value;
  if (squares == 0) return;
  const double scale = 1 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value * scale);
}

}  // namespace

Job embedding_job(std::vector<std::vector<TokenId>> prompts, Pooling pooling) {
  Job job;
  for (std::vector<TokenId>& prompt : prompts) {
    EngineRequest request;
    request.prompt = std::move(prompt);
    request.params.max_tokens = 0;
    request.pooling = pooling;
    job.requests.push_back(std::move(request));
    job.sample_options.emplace_back();
    job.echoes.emplace_back();
  }
  return job;
}

ApiStatus EmbeddingReply::take(const Generation::News& news) {
  embeddings_[news.request_idx] = news.event.embedding;
  normalise(embeddings_[news.request_idx]);
  RETORT_API_TRY(Reply::take(news));
  if (news.event.finish == FinishReason::kAbort) return refuse(503, "the server ended the request");
  return {};
}

}  // namespace retort
