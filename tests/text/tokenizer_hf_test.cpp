// tokenizer.json files against what Hugging Face's `tokenizers` makes of them (tests/data/make_tokenizer_goldens.py).
#include <gmock/gmock.h>

#include "formats/temp_dir.h"
#include "text/tokenizer.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::write_file;
using Value = nlohmann::json;

// A folder needs weights to be one: here a safetensors file without tensors.
constexpr std::string_view kNoTensors("\x02\0\0\0\0\0\0\0{}", 10);

Result<Tokenizer> load(const Value& definition, const Value& config = Value::object(),
                       const Value& generation = Value::object()) {
  const TempDir folder;
  write_file(folder / "config.json", "{}");
  write_file(folder / "tokenizer.json", definition.dump());
  write_file(folder / "tokenizer_config.json", config.dump());
  write_file(folder / "generation_config.json", generation.dump());
  write_file(folder / "model.safetensors", kNoTensors);
  RETORT_ASSIGN(const HfFolder opened, HfFolder::open(folder.path()));
  return Tokenizer::from_hf(opened);
}

const Value& goldens() {
  static const Value kGoldens = Value::parse(testing::read_file(RETORT_TEST_DATA "/tokenizers.json"));
  return kGoldens;
}

const Value& golden(std::string_view name) {
  for (const Value& one : goldens())
    if (one.at("name") == name) return one;
  RETORT_CHECK(false);
}

TEST(HfTokenizer, EncodesAndDecodesAsTheOracle) {
  for (const Value& one : goldens()) {
    const auto tokenizer = load(one.at("tokenizer"), one.at("config"));
    ASSERT_TRUE(tokenizer) << one.at("name") << ": " << tokenizer.error().message;
    for (const Value& c : one.at("cases")) {
      const auto text = c.at("text").get<std::string>();
      const auto plain = c.at("plain").get<std::vector<TokenId>>();
      auto special = c.at("special").get<std::vector<TokenId>>();
      EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), plain) << one.at("name") << ": " << text;
      if (!c.at("decoded").is_null()) EXPECT_EQ(tokenizer->decode(special, true), c.at("decoded").get<std::string>());
      // The oracle puts a second BOS before a text that begins with one.
      if (tokenizer->adds_bos() && special.size() > 1 && special[0] == special[1]) special.erase(special.begin());
      EXPECT_EQ(tokenizer->encode(text, {.parse_special = true}), special) << one.at("name") << ": " << text;
    }
  }
}

TEST(HfTokenizer, NeverTwoBos) {
  const auto tokenizer = load(golden("llama3_like").at("tokenizer"), golden("llama3_like").at("config")).value();
  const TokenId bos = tokenizer.bos().value(), eos = tokenizer.find("</s>").value();
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_THAT(tokenizer.encode("", {}), ::testing::ElementsAre(bos, eos));
  EXPECT_THAT(tokenizer.encode("<s>", {.parse_special = true}), ::testing::ElementsAre(bos, eos));
  const auto ids = tokenizer.encode("<s>a", {.parse_special = true});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), bos), 1);
  // What a user wrote is text, and gets its BOS.
  EXPECT_GT(tokenizer.encode("<s>", {}).size(), 4u);
}

TEST(HfTokenizer, NamesOfTemplatesAreControlWhateverTheFileSays) {
  Value definition = golden("deepseek_like").at("tokenizer");
  for (Value& added : definition["added_tokens"]) added["special"] = false;
  const auto tokenizer = load(definition).value();
  const TokenId user = tokenizer.find("<｜User｜>").value();
  EXPECT_TRUE(tokenizer.is_special(user));
  EXPECT_THAT(tokenizer.encode("<｜User｜>", {}), ::testing::Not(::testing::Contains(user)));
  EXPECT_THAT(tokenizer.encode("<｜User｜>", {.parse_special = true}), ::testing::Contains(user));
  EXPECT_FALSE(tokenizer.is_special(tokenizer.find("ü").value()));
}

TEST(HfTokenizer, UserDefinedTokensAreAlwaysFound) {
  const auto tokenizer = load(golden("qwen_like").at("tokenizer")).value();
  const TokenId think = tokenizer.find("<think>").value();
  EXPECT_EQ(tokenizer.kind(think), TokenKind::kUserDefined);
  EXPECT_THAT(tokenizer.encode("a<think>b", {}), ::testing::Contains(think));
  EXPECT_EQ(tokenizer.token_bytes(think), "<think>");
  EXPECT_EQ(tokenizer.token_bytes(-1), "");
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.vocab_size()), "");
}

TEST(HfTokenizer, StopsComeFromConfigAndGenerationConfig) {
  const Value& one = golden("qwen_like");
  const TokenId end = load(one.at("tokenizer")).value().find("<|end|>").value();
  const auto tokenizer = load(one.at("tokenizer"), {{"eos_token", "a"}}, {{"eos_token_id", {3, 1, "x"}}});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->stop_tokens(), ::testing::IsSupersetOf({1, 3, end}));
  const auto outside = load(one.at("tokenizer"), Value::object(), {{"eos_token_id", 99999}});
  EXPECT_THAT(outside.error().message, HasSubstr("eos_token_id: expected one of"));
}

TEST(HfTokenizer, OfTwoAddedTokensWithOneTextTheFirstIsMeant) {
  Value definition = golden("qwen_like").at("tokenizer");
  Value second = definition["added_tokens"][0];
  const int first_id = second["id"];
  second["id"] = load(definition)->vocab_size();
  definition["added_tokens"].push_back(second);
  const auto tokenizer = load(definition);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->encode(second["content"].get<std::string>(), {.parse_special = true}),
              ::testing::Contains(first_id));
}

TEST(HfTokenizer, LlamaTokenizersAddWhatTheirConfigSays) {
  const Value& one = golden("llama2_like");
  const auto with = [&](bool bos, bool eos) {
    Value config = one.at("config");
    config.update({{"tokenizer_class", "LlamaTokenizerFast"}, {"add_bos_token", bos}, {"add_eos_token", eos}});
    return load(one.at("tokenizer"), config).value().encode("", {});
  };
  EXPECT_THAT(with(true, false), ::testing::ElementsAre(1));
  EXPECT_THAT(with(false, true), ::testing::ElementsAre(2));
  EXPECT_THAT(with(false, false), ::testing::ElementsAre());
}

TEST(HfTokenizer, DamagedUtf8KeepsItsBytes) {
  for (const char* name : {"qwen_like", "llama2_like"}) {
    const auto tokenizer = load(golden(name).at("tokenizer")).value();
    const std::string text = "a\xFF\xE4\xBD z\xF0";
    std::string bytes;
    for (const TokenId id : tokenizer.encode(text, {.add_special = false})) bytes += tokenizer.token_bytes(id);
    // SentencePiece puts a space before every stretch of text.
    EXPECT_EQ(bytes, name == std::string("qwen_like") ? text : " a\xFF\xE4\xBD  z\xF0");
  }
}

struct Refusal {
  const char* what;
  std::function<void(Value&)> change;
  ErrorKind kind;
  const char* message;
};

TEST(HfTokenizer, RefusesByName) {
  const auto set = [](const char* pointer, const Value& value) {
    return [=](Value& definition) { definition[Value::json_pointer(pointer)] = value; };
  };
  const std::vector<Refusal> refusals = {
      {"Unigram", set("/model/type", "Unigram"), ErrorKind::kUnsupported, "model Unigram (BPE is)"},
      {"normalizer", set("/normalizer", {{"type", "Lowercase"}}), ErrorKind::kUnsupported, "normalizer Lowercase"},
      {"pre", set("/pre_tokenizer", {{"type", "Whitespace"}}), ErrorKind::kUnsupported, "pre_tokenizer Whitespace"},
      {"post", set("/post_processor", {{"type", "BertProcessing"}}), ErrorKind::kUnsupported, "BertProcessing"},
      {"decoder", set("/decoder", {{"type", "WordPiece"}}), ErrorKind::kUnsupported, "decoder WordPiece"},
      {"decoder", set("/decoder", nullptr), ErrorKind::kUnsupported, "decoder"},
      {"dropout", set("/model/dropout", 0.1), ErrorKind::kUnsupported, "dropout"},
      {"prefix", set("/model/continuing_subword_prefix", "##"), ErrorKind::kUnsupported, "continuing_subword_prefix"},
      {"regex", set("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+"), ErrorKind::kUnsupported, "`\\w`"},
      {"regex", set("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(a"), ErrorKind::kUnsupported, "regex (a"},
      {"word", set("/added_tokens/0/single_word", true), ErrorKind::kUnsupported, "single_word"},
      {"merge", set("/model/merges/0", {"q", "☃"}), ErrorKind::kBadInput, "'☃' is not in the vocabulary"},
      {"merge", set("/model/merges/0", "nospace"), ErrorKind::kBadInput, "expected a merge of two tokens"},
      {"merge", set("/model/merges/0", 7), ErrorKind::kBadInput, "tokenizer.json"},
      {"id", set("/model/vocab/a", -1), ErrorKind::kBadInput, "'a' has the id -1"},
      {"id", set("/added_tokens/0/id", 4'000'000'000), ErrorKind::kBadInput, "has the id 4000000000"},
      {"no model", [](Value& d) { d.erase("model"); }, ErrorKind::kBadInput, "model"},
      {"no vocabulary", [](Value& d) { d["model"].erase("vocab"); }, ErrorKind::kBadInput, "vocab"},
      {"template",
       set("/post_processor", {{"type", "TemplateProcessing"},
                               {"single", {{{"SpecialToken", {{"id", "x"}}}}}},
                               {"special_tokens", {{"x", {{"ids", {77777}}}}}}}),
       ErrorKind::kBadInput, "token 77777"},
  };
  for (const Refusal& refusal : refusals) {
    Value definition = golden("qwen_like").at("tokenizer");
    refusal.change(definition);
    const auto tokenizer = load(definition);
    ASSERT_FALSE(tokenizer) << refusal.what << " " << refusal.message;
    EXPECT_EQ(tokenizer.error().kind, refusal.kind) << tokenizer.error().message;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(refusal.message));
  }
}

}  // namespace
}  // namespace retort
