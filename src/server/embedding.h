// Prompts and the vectors that stand for them, whichever API asks. I/O thread, but for embedding_job().
#pragma once

#include <vector>

#include "server/reply.h"

namespace retort {

// One engine request a prompt; each must fit the context. Any thread.
Job embedding_job(std::vector<std::vector<TokenId>> prompts, Pooling pooling);

// Gathers the embeddings, brought to length 1. An API's own class says what the answer looks like.
class EmbeddingReply : public Reply {
 public:
  EmbeddingReply(const ServedModel& model, const Job& job) : Reply(model, job), embeddings_(job.requests.size()) {}

  ApiStatus take(const Generation::News& news) override;

 protected:
  const std::vector<std::vector<float>>& embeddings() const { return embeddings_; }  // one a prompt, [hidden_size]

 private:
  std::vector<std::vector<float>> embeddings_;
};

}  // namespace retort
