// The body of POST /v1/embeddings.
#pragma once

#include "server/openai/completion_request.h"

namespace retort::openai {

struct EmbeddingRequest : GenerateRequest {
  std::vector<RawPrompt> inputs;
  bool as_base64 = false;
  std::optional<int> dimensions;
  Pooling pooling = Pooling::kLast;
};

const FieldTable<EmbeddingRequest>& embedding_table();
ApiResult<EmbeddingRequest> parse_embedding_request(const Json& body);

}  // namespace retort::openai
