// The text room on standard input and output, for tests that compare it with other implementations
// (test_tokenizers.py).
//   text_oracle tokenize MODEL   each line a JSON question: {"text": "…", "special": false} → its token ids, where
//   special
//                                adds and parses control tokens; {"ids": [1, 2]} → their text without control tokens
//   text_oracle template         each line a JSON object of a template's "source", "bos", "eos" and what
//   ChatTemplateInput
//                                holds → {"text": "…"} or {"error": "…"}
//   text_oracle split PATTERN    each line a JSON string → the matches of a tokenizer.json regex
//   text_oracle nfc              each line a JSON string → its normal form
#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "text/chat_template.h"
#include "text/normalizer.h"
#include "text/split_regex.h"
#include "text/tokenizer.h"

namespace retort {
namespace {

using Value = Json;
using Answer = std::function<Value(const Value&)>;

template <class T>
T or_exit(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

Tokenizer load(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return or_exit(Tokenizer::from_hf(or_exit(HfFolder::open(path))));
  return or_exit(Tokenizer::from_gguf(or_exit(Gguf::open(path))));
}

Answer tokenize(const std::string& model) {
  auto tokenizer = std::make_shared<Tokenizer>(load(model));
  return [=](const Value& question) -> Value {
    if (question.contains("ids")) return tokenizer->decode(question.at("ids").get<std::vector<TokenId>>(), true);
    const bool special = question.at("special").get<bool>();
    return tokenizer->encode(question.at("text").get_ref<const std::string&>(),
                             {.add_special = special, .parse_special = special});
  };
}

Result<std::string> render(const Value& question) {
  const auto text_of = [&](const char* key) { return question.value(key, ""); };
  const std::string source =
      question.contains("builtin") ? builtin_chat_template(text_of("builtin")) : text_of("source");
  RETORT_ASSIGN(const ChatTemplate compiled, ChatTemplate::compile(source, text_of("bos"), text_of("eos")));
  ChatTemplateInput input;
  input.messages = question.at("messages");
  if (question.contains("tools")) input.tools = question.at("tools");
  if (question.contains("kwargs")) input.kwargs = question.at("kwargs");
  input.add_generation_prompt = question.value("add_generation_prompt", true);
  input.continue_final_message = question.value("continue_final_message", false);
  return compiled.render(input);
}

Answer chat_template() {
  return [](const Value& question) -> Value {
    const auto text = render(question);
    return text ? Value{{"text", *text}} : Value{{"error", text.error().message}};
  };
}

Answer split(const std::string& pattern) {
  auto regex = std::make_shared<SplitRegex>(or_exit(SplitRegex::compile(pattern)));
  return [=](const Value& value) {
    const auto text = value.get<std::string>();
    SplitRegex::Scratch scratch;
    std::vector<Span> matches;
    regex->find_all(text, scratch, matches);
    Value pieces = Value::array();
    for (const Span match : matches) pieces.push_back(text.substr(match.begin, match.end - match.begin));
    return pieces;
  };
}

Answer nfc() {
  Normalizer normalizer;
  normalizer.add(Normalizer::Nfc{});
  return [=](const Value& text) {
    std::string storage;
    return std::string(normalizer.apply(text.get_ref<const std::string&>(), storage));
  };
}

Answer answer_of(const std::vector<std::string>& args) {
  const std::string command = args.empty() ? "" : args[0];
  if (command == "tokenize" && args.size() == 2) return tokenize(args[1]);
  if (command == "split" && args.size() == 2) return split(args[1]);
  if (command == "nfc") return nfc();
  if (command == "template") return chat_template();
  fmt::print(stderr, "usage: see the head of text_oracle.cpp\n");
  std::exit(2);
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  const auto answer = retort::answer_of({argv + 1, argv + argc});
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(retort::Json::parse(line)).dump() << '\n';
}
