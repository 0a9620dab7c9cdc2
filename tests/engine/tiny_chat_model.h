// A whole model in a file of some hundred kilobytes, random weights, a byte-level tokenizer and ChatML's control
// tokens: for tests of what stands on a loaded model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/tiny_model.h"

namespace retort::testing {

inline constexpr int kTinyVocab = 264;  // 256 bytes, 3 control tokens, "ab", and rows of the embedding without a token

// GPT-2's spelling of bytes: printable ones stand for themselves, the others for U+0100 and on.
inline std::vector<std::string> byte_tokens() {
  const auto utf8 = [](uint32_t c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  };
  std::vector<std::string> tokens;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    tokens.push_back(utf8(printable ? byte : next++));
  }
  return tokens;
}

// `chat_template` empty: the file has none.
inline std::filesystem::path write_tiny_chat_model(const std::filesystem::path& path,
                                                   const std::string& chat_template = "") {
  const Json config = {{"model_type", "qwen2"},      {"hidden_size", 64},
                       {"num_hidden_layers", 2},     {"num_attention_heads", 4},
                       {"num_key_value_heads", 2},   {"intermediate_size", 96},
                       {"vocab_size", kTinyVocab},   {"max_position_embeddings", 1024},
                       {"rms_norm_eps", 1e-6},       {"rope_theta", 10000.0},
                       {"tie_word_embeddings", true}};
  return TinyModel(config).write_gguf(path, TensorType::kF32, [&](GgufWriter& writer) {
    auto tokens = byte_tokens();
    std::vector<int32_t> kinds(256, 1);  // normal
    for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
      tokens.emplace_back(control);
      kinds.push_back(3);
    }
    tokens.emplace_back("ab");  // a vocabulary without a single merge is refused
    kinds.push_back(1);
    writer.set("tokenizer.ggml.model", std::string("gpt2"));
    writer.set("tokenizer.ggml.pre", std::string("qwen2"));
    writer.set_strings("tokenizer.ggml.tokens", tokens);
    writer.set("tokenizer.ggml.token_type", std::make_shared<const GgufArray>(GgufArray{kinds}));
    writer.set_strings("tokenizer.ggml.merges", {"a b"});
    writer.set("tokenizer.ggml.eos_token_id", uint32_t{258});
    if (!chat_template.empty()) writer.set("tokenizer.chat_template", chat_template);
  });
}

}  // namespace retort::testing
