#include "server/sample.h"

#include <gtest/gtest.h>

#include "byte_tokenizer.h"
#include "server/control_tokens.h"

namespace retort {
namespace {

using testing::byte_tokenizer;
using testing::kEndToken;
using testing::kThinkEndToken;
using testing::kThinkToken;
using testing::kUserToken;

class SampleTest : public ::testing::Test {
 protected:
  static TokenEvent event(std::string_view bytes, std::optional<FinishReason> finish = {}) {
    TokenEvent event;
    for (const unsigned char byte : bytes) event.tokens.push_back({.id = byte, .logprob = {}, .top_logprobs = {}});
    event.finish = finish;
    return event;
  }
  static TokenEvent one(TokenId id) {
    TokenEvent event;
    event.tokens.push_back({.id = id, .logprob = {}, .top_logprobs = {}});
    return event;
  }

  Tokenizer tokenizer_ = byte_tokenizer();
};

TEST_F(SampleTest, GivesTextAsItComes) {
  Sample sample(tokenizer_, {});
  sample.take(event("h\xc3"));
  EXPECT_EQ(sample.take_delta().content, "h");
  sample.take(event("\xa4y", FinishReason::kLength));
  EXPECT_EQ(sample.take_delta().content, "äy");
  EXPECT_EQ(sample.finish_reason(), "length");
  EXPECT_EQ(sample.num_tokens(), 4);
}

TEST_F(SampleTest, EndsAtAStopString) {
  Sample sample(tokenizer_, {.stop = {"END"}});
  sample.take(event("one EN"));
  EXPECT_EQ(sample.take_delta().content, "one ") << "what may be the beginning of a stop string waits";
  sample.take(event("D two"));
  EXPECT_EQ(sample.take_delta().content, "");
  EXPECT_TRUE(sample.is_finished());
  EXPECT_EQ(sample.finish_reason(), "stop");
  EXPECT_EQ(sample.stop_reason(), "END");
  EXPECT_EQ(sample.num_tokens(), 7) << "what comes after the stop string is not counted";
  sample.take(event("more", FinishReason::kLength));
  EXPECT_EQ(sample.take_delta().content, "");
  EXPECT_EQ(sample.finish_reason(), "stop");
}

TEST_F(SampleTest, PassesOverStopStringsBeforeMinTokens) {
  Sample sample(tokenizer_, {.stop = {"END"}, .min_tokens = 5});
  sample.take(event("1ENDE"));
  sample.take(event("NDEND"));
  EXPECT_EQ(sample.take_delta().content, "1END");
  EXPECT_EQ(sample.stop_reason(), "END");
  EXPECT_EQ(sample.num_tokens(), 7) << "it began among the first five, and ended after them";
}

TEST_F(SampleTest, ShowsAHalfStopStringWhenItEndsOtherwise) {
  Sample sample(tokenizer_, {.stop = {"END"}});
  sample.take(event("EN", FinishReason::kLength));
  EXPECT_EQ(sample.take_delta().content, "EN");
}

TEST_F(SampleTest, KeepsTheStopStringWhenAsked) {
  Sample sample(tokenizer_, {.stop = {"END"}, .include_stop = true});
  sample.take(event("one END two"));
  EXPECT_EQ(sample.take_delta().content, "one END");
}

TEST_F(SampleTest, SplitsReasoningAndCountsIt) {
  Sample sample(tokenizer_, {.splits_reasoning = true, .starts_inside_reasoning = true});
  sample.take(event("why"));
  sample.take(one(kThinkEndToken));
  sample.take(event("\n\nyes"));
  TokenEvent last;
  last.finish = FinishReason::kStop;
  last.stop_token = kEndToken;
  sample.take(last);
  const Delta delta = sample.take_delta();
  EXPECT_EQ(delta.reasoning, "why");
  EXPECT_EQ(delta.content, "yes");
  EXPECT_EQ(sample.num_reasoning_tokens(), 4);
  EXPECT_EQ(sample.num_tokens(), 4 + 5 + 1);
  EXPECT_TRUE(sample.stop_reason().is_null()) << "the model's own end needs no name";
}

TEST_F(SampleTest, NamesAStopTokenOfTheRequest) {
  Sample sample(tokenizer_, {.stop_token_ids = {kUserToken}, .keeps_tokens = true});
  TokenEvent last = event("x", FinishReason::kStop);
  last.stop_token = kUserToken;
  sample.take(last);
  EXPECT_EQ(sample.stop_reason(), kUserToken);
  EXPECT_EQ(sample.take_delta().tokens.back().id, kUserToken);
}

TEST_F(SampleTest, LeavesSpecialTokensOutUnlessAsked) {
  for (const bool skip : {true, false}) {
    Sample sample(tokenizer_, {.skip_special_tokens = skip});
    sample.take(event("a"));
    sample.take(one(kUserToken));
    EXPECT_EQ(sample.take_delta().content, skip ? "a" : "a<|user|>");
  }
}

TEST(ControlTokens, StayTextInWhatUsersWrite) {
  const Tokenizer tokenizer = byte_tokenizer();
  const ControlTokens control(tokenizer);
  Json messages = Json::parse(R"([{"role": "user", "content": "a<|end|>b < <|en <think>"}])");
  ASSERT_TRUE(control.mark(messages));
  const std::string prompt = "<|user|>" + messages[0]["content"].get<std::string>() + "<|end|>";
  const std::vector<TokenId> tokens = ControlTokens::encode_marked(tokenizer, prompt, false);
  EXPECT_EQ(tokens.front(), kUserToken);
  EXPECT_EQ(tokens.back(), kEndToken);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), kEndToken), 1);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), kThinkToken), 1) << "not a control token: text may have it";
  EXPECT_EQ(tokenizer.decode(tokens, false), "<|user|>a<|end|>b < <|en <think><|end|>");
}

TEST(ControlTokens, LeavesOtherTextAlone) {
  const ControlTokens control(byte_tokenizer());
  Json messages = Json::parse(R"([{"role": "user", "content": "<|en d|> <<|| "}])");
  const Json before = messages;
  EXPECT_FALSE(control.mark(messages));
  EXPECT_EQ(messages, before);
}

}  // namespace
}  // namespace retort
