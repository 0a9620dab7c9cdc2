// Answers found and compared, votes counted, and both over the API.
#include "api_fixture.h"
#include "server/consensus/answer_key.h"
#include "server/consensus/ballot.h"
#include "server/consensus/boxed_answer.h"
#include "server/consensus/exact_number.h"

namespace retort {
namespace {

using testing::ApiTest;
using ::testing::HasSubstr;

TEST(BoxedAnswer, IsTheLastThatCloses) {
  EXPECT_EQ(last_boxed("so \\boxed{1}, no, \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("\\boxed{7} and \\boxed{8 cut off"), "7");
  EXPECT_EQ(last_boxed("\\boxed{\\left\\{1, 2\\right\\}}"), "\\left\\{1, 2\\right\\}") << "\\{ closes nothing";
  EXPECT_EQ(last_boxed("\\fbox{3}"), "3");
  EXPECT_EQ(last_boxed("\\boxed {4}"), "4");
  EXPECT_EQ(last_boxed("\\boxed{ }"), std::nullopt);
  EXPECT_EQ(last_boxed("a box{5} of boxed{6} goods"), std::nullopt);
  EXPECT_EQ(last_boxed(""), std::nullopt);
  std::string hostile;
  for (int i = 0; i < 100'000; ++i) hostile += "\\boxed{";
  EXPECT_EQ(last_boxed(hostile), std::nullopt);
}

TEST(BoxedAnswer, HasOneSpelling) {
  const std::pair<const char*, const char*> equal[] = {
      {"\\frac{1}{2}", "1/2"},
      {"\\dfrac12", "1/2"},
      {"\\tfrac{1}2", "1/2"},
      {"0.5", "1/2"},
      {".50", "1/2"},
      {"-\\frac{2}{4}", "-1/2"},
      {"\\frac{-1}{2}", "-1/2"},
      {"1\\frac{1}{2}", "3/2"},
      {"3/6", "1/2"},
      {"5.0", "5"},
      {"+5", "5"},
      {"-0", "0"},
      {"1,234,567", "1234567"},
      {"1{,}000", "1000"},
      {"\\$ 1,000.50", "2001/2"},
      {"50\\%", "50"},
      {"50%", "50"},
      {"90^\\circ", "90"},
      {"90^{\\circ}", "90"},
      {"90°", "90"},
      {"5\\text{ cm}", "5"},
      {"5\\text{ cm}^2", "5"},
      {"12 \\mbox{ inches}", "12"},
      {"\\text{Yes}", "yes"},
      {"\\text{(B)}", "(b)"},
      {"\\mathrm{B}", "b"},
      {"x = 7", "7"},
      {"x\\in[0,1]", "[0,1]"},
      {"7.", "7"},
      {"$7$", "7"},
      {"\\(7\\)", "7"},
      {"\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"},
      {"(0.5, 2.0)", "(1/2,2)"},
      {"1, 2, 3", "1,2,3"},
      {"(1,234)", "(1234)"},
      {"\\sqrt2", "\\sqrt{2}"},
      {"2\\!\\sqrt{3}", "2\\sqrt{3}"},
      {"\\sqrt[3]{2}", "\\sqrt[3]{2}"},
      {"\\frac\\pi2", "\\frac{\\pi}{2}"},
      {"x \\leq 3", "x\\le3"},
      {"\\displaystyle\\frac{a}{b}", "\\frac{a}{b}"},
      {"\\{1,2\\}", "\\{1,2\\}"},
  };
  for (const auto& [given, key] : equal) EXPECT_EQ(normalise_maths(given), key) << given;
}

TEST(BoxedAnswer, IsStableAndTakesAnything) {
  const char* pieces[] = {"\\frac", "{",  "}", "1", "2,", "345", "\\text{", "^", "\\circ", "-",
                          ".",      "\\", "$", " ", "=",  "x",   "(",       ")", "é"};
  uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (int j = 0; j < 12; ++j) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      text += pieces[(state >> 33) % std::size(pieces)];
    }
    normalise_maths(text);
    last_boxed("\\boxed{" + text);
  }
  EXPECT_EQ(normalise_maths(std::string(1000, '{')), std::string(1000, '{'));
}

TEST(ExactNumber, IsInLowestTermsOrNone) {
  EXPECT_EQ(exact_number("10/4"), "5/2");
  EXPECT_EQ(exact_number("0.125"), "1/8");
  EXPECT_EQ(exact_number("\\frac{6}{3}"), "2");
  for (const char* none :
       {"", "-", "1/0", "1.2.3", "1e5", "--1", "x", "\\frac{1}{", "123456789012345678", "1/2/3", "."})
    EXPECT_EQ(exact_number(none), std::nullopt) << none;
}

std::string key(AnswerKind kind, std::string_view text) {
  const auto answer = extract_answer(kind, text);
  return answer ? answer->key : "none";
}

TEST(AnswerKey, OfJsonKnowsNoOrderAndNoSpelling) {
  EXPECT_EQ(key(AnswerKind::kJson, R"({"b": 1.0, "a": [1e2, "é"]})"),
            key(AnswerKind::kJson, R"({"a":[100,"\u00e9"],"b":1})"));
  EXPECT_EQ(key(AnswerKind::kJson, "```json\n{\"a\": 1}\n```"), R"({"a":1})");
  EXPECT_NE(key(AnswerKind::kJson, "[1,2]"), key(AnswerKind::kJson, "[2,1]"));
  EXPECT_NE(key(AnswerKind::kJson, "\"A\""), key(AnswerKind::kJson, "\"a\""));
  EXPECT_EQ(key(AnswerKind::kJson, "It is {\"a\": 1}"), "none");
  EXPECT_EQ(key(AnswerKind::kJson, std::string(100'000, '[')), "none");
}

TEST(AnswerKey, OfTextKnowsNoCaseAndNoSpaces) {
  EXPECT_EQ(key(AnswerKind::kText, " Straße  nach\nULM. "), key(AnswerKind::kText, "STRASSE NACH Ulm"));
  EXPECT_EQ(extract_answer(AnswerKind::kText, " Yes.\n")->text, "Yes.");
  EXPECT_EQ(key(AnswerKind::kText, " \n"), "none");
  EXPECT_NE(key(AnswerKind::kText, "yes"), key(AnswerKind::kText, "no"));
}

class BallotTest : public ::testing::Test {
 protected:
  static void cast(Ballot& ballot, size_t idx, std::string_view text, float logprob, bool is_whole = true) {
    const SampledToken token{.id = 1, .logprob = TokenLogprob{1, logprob, 1}, .top_logprobs = {}};
    ballot.see(idx, std::vector{token, token});
    ballot.cast(idx, text, is_whole);
  }
};

TEST_F(BallotTest, ElectsTheMajorityAndItsMostLikelySample) {
  Ballot ballot(5, AnswerKind::kBoxed);
  cast(ballot, 3, "\\boxed{1/2}", -2);
  cast(ballot, 0, "\\boxed{7}", -0.1f);
  cast(ballot, 1, "nothing", -0.01f);
  EXPECT_FALSE(ballot.is_decided());
  cast(ballot, 4, "\\boxed{0.5}", -1);
  cast(ballot, 2, "\\boxed{\\frac12}", -3);
  EXPECT_TRUE(ballot.is_decided());
  EXPECT_EQ(ballot.winner(), 4u);
  EXPECT_EQ(ballot.json(), Json::parse(R"({"share": 0.6, "votes": 3, "samples": 5, "no_answer": 1, "cancelled": 0,
      "answers": [{"answer": "0.5", "votes": 3}, {"answer": "7", "votes": 1}]})"));
}

TEST_F(BallotTest, IsDecidedWhenTheRestCannotChangeIt) {
  Ballot ballot(5, AnswerKind::kText);
  cast(ballot, 0, "a", -1);
  cast(ballot, 1, "a", -1);
  EXPECT_FALSE(ballot.is_decided()) << "three others could agree";
  cast(ballot, 2, "b", -1);
  EXPECT_FALSE(ballot.is_decided());
  cast(ballot, 3, "a", -1);
  EXPECT_TRUE(ballot.is_decided());
  EXPECT_EQ(ballot.json()["cancelled"], 1);
  Ballot tie(4, AnswerKind::kText);
  cast(tie, 0, "a", -1);
  cast(tie, 1, "a", -1);
  cast(tie, 2, "b", -1);
  EXPECT_FALSE(tie.is_decided()) << "a tie is possible";
  cast(tie, 3, "b", -0.5);
  EXPECT_EQ(tie.winner(), 3u) << "the most likely sample decides";
}

TEST_F(BallotTest, CountsCutOffAnswersOnlyWhereTheyHoldOne) {
  Ballot boxed(2, AnswerKind::kBoxed), text(2, AnswerKind::kText), none(2, AnswerKind::kBoxed);
  cast(boxed, 0, "\\boxed{1} and on", -1, false);
  cast(text, 0, "half a sent", -1, false);
  EXPECT_EQ(boxed.json()["votes"], 1);
  EXPECT_EQ(text.json()["no_answer"], 1);
  cast(none, 0, "?", -2);
  cast(none, 1, "?", -1);
  EXPECT_EQ(none.winner(), 1u) << "without any answer the most likely sample";
  EXPECT_EQ(none.json()["share"], 0.0);
}

TEST_F(ApiTest, AnswersWithTheMajority) {
  start();
  const Json answer = chat("say it is \\boxed{0.50}", R"({"consensus": true})");
  ASSERT_EQ(answer["choices"].size(), 1u);
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "it is \\boxed{0.50}");
  EXPECT_EQ(answer["choices"][0]["index"], 0);
  EXPECT_TRUE(answer["choices"][0]["logprobs"].is_null()) << "they were not asked for";
  EXPECT_EQ(answer["consensus"], Json::parse(R"({"share": 1.0, "votes": 3, "samples": 3, "no_answer": 0,
      "cancelled": 2, "answers": [{"answer": "0.50", "votes": 3}]})"));
  EXPECT_TRUE(becomes_idle()) << "those that cannot change it are cancelled";
  const Json off = chat("say hello", R"({"consensus": {"enabled": false}})");
  EXPECT_FALSE(off.contains("consensus"));
  const Json text = ask_json("POST", "/v1/completions",
                             R"({"prompt": "ab", "max_tokens": 3, "consensus": {"n": 2, "extract": "text"}})");
  EXPECT_EQ(text["choices"][0]["text"], "cde");
  EXPECT_EQ(text["consensus"]["no_answer"], 2) << "cut off";
}

TEST_F(ApiTest, CountsTheVotesOfSamplesThatDiffer) {
  start();
  const char* more = R"({"consensus": {"n": 16}, "temperature": 2, "seed": 3, "stream": true,
      "structured_outputs": {"choice": ["yes", "no", "maybe", "often", "rarely", "always"]}, "stream_options": {"include_usage": true}})";
  const auto events = stream("/v1/chat/completions", chat_body("say zzz", more));
  std::string content;
  Json last;
  size_t num_votes = 0;
  for (const Json& event : events) {
    if (event.is_null()) continue;
    if (event.contains("consensus")) {
      EXPECT_TRUE(content.empty()) << "the answer comes last";
      last = event["consensus"];
      if (event["choices"].empty()) EXPECT_EQ(last["samples"], ++num_votes);
    }
    for (const Json& choice : event["choices"]) content += choice["delta"].value("content", "");
  }
  ASSERT_GT(last["answers"].size(), 1u) << last;
  int votes = last["no_answer"];
  for (const Json& answer : last["answers"]) votes += answer["votes"].get<int>();
  EXPECT_EQ(votes, last["samples"]);
  EXPECT_EQ(Json(content), last["answers"][0]["answer"]);
  EXPECT_EQ(last["samples"].get<int>() + last["cancelled"].get<int>(), 16);
  EXPECT_GT(events[events.size() - 2]["usage"]["completion_tokens"].get<int>(), 16) << "of all samples";
}

TEST_F(ApiTest, RefusesWhatContradictsConsensus) {
  start();
  const auto refused = [&](const char* more) { return error("/v1/chat/completions", chat_body("x", more), 400); };
  EXPECT_THAT(refused(R"({"consensus": true, "n": 2})"), HasSubstr("n: cannot be used together with consensus"));
  EXPECT_THAT(refused(R"({"consensus": true, "temperature": 0})"), HasSubstr("temperature: expected more than 0"));
  EXPECT_THAT(refused(R"({"consensus": true, "echo": true})"), HasSubstr("echo: cannot"));
  EXPECT_THAT(refused(R"({"consensus": 5})"), HasSubstr("consensus: expected true, false or an object, got 5"));
  EXPECT_THAT(refused(R"({"consensus": {"n": 65}})"), HasSubstr("consensus.n: expected an integer from 1 to 64"));
  EXPECT_THAT(refused(R"({"consensus": {"extract": "tex"}})"), HasSubstr("consensus.extract: expected boxed, json or"));
  EXPECT_THAT(refused(R"({"consensus": {"samples": 3}})"), HasSubstr("unknown field 'samples'"));
  EXPECT_THAT(error("/v1/completions", R"({"prompt": ["a", "b"], "consensus": true})", 400),
              HasSubstr("consensus: expected one prompt, got 2"));
}

}  // namespace
}  // namespace retort
