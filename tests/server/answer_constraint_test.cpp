// A grammar binds what comes after </think>, and nothing before; a budget ends thinking.
#include "server/answer_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "byte_tokenizer.h"

namespace retort::testing {
namespace {

constexpr std::string_view kSlow = R"({"type": "integer", "multipleOf": 49999})";  // takes a second

class AnswerConstraintTest : public ::testing::Test {
 protected:
  AnswerRules rules(GrammarKind kind, std::string_view text) {
    auto grammar = grammars_.compile(kind, text);
    EXPECT_TRUE(grammar) << grammar.error().message;
    return {.tokenizer = &tokenizer_, .grammar = std::move(*grammar)};
  }
  static std::unique_ptr<TokenConstraint> begin(AnswerRules rules) {
    return std::move(*constrain_answer(std::move(rules))->clone());
  }
  static NextTokens follow(TokenConstraint& constraint, std::vector<TokenId> tokens) {
    auto next = constraint.follow(tokens);
    EXPECT_TRUE(next) << next.error().message;
    return std::move(*next);
  }
  // Tokens of the mask; "any" bytes are what they stand for.
  static std::vector<TokenId> allowed(const NextTokens& next) {
    std::vector<TokenId> ids;
    for (size_t id = 0; id < 32 * next.allowed.size(); ++id)
      if ((next.allowed[id / 32] >> id % 32 & 1) != 0) ids.push_back(static_cast<TokenId>(id));
    return ids;
  }

  Tokenizer tokenizer_ = byte_tokenizer();
  Grammars grammars_{tokenizer_};
};

TEST_F(AnswerConstraintTest, BindsFromTheBeginning) {
  const auto constraint = begin(rules(GrammarKind::kRegex, "[ab]c?"));
  EXPECT_THAT(allowed(follow(*constraint, {})), ::testing::ElementsAre('a', 'b'));
  EXPECT_THAT(allowed(follow(*constraint, {'a'})), ::testing::ElementsAre('c', kEndToken));
  EXPECT_TRUE(follow(*constraint, {'c'}).is_complete);
}

TEST_F(AnswerConstraintTest, ForcesWhatHasNoChoice) {
  const auto constraint = begin(rules(GrammarKind::kChoice, R"(["xyz1", "xyz2"])"));
  const NextTokens next = follow(*constraint, {});
  EXPECT_THAT(next.forced, ::testing::ElementsAre('x', 'y', 'z'));
  EXPECT_THAT(allowed(next), ::testing::ElementsAre('1', '2'));
  EXPECT_TRUE(follow(*constraint, {'2'}).is_complete);

  AnswerRules unforced = rules(GrammarKind::kChoice, R"(["xyz1", "xyz2"])");
  unforced.takes_forced_tokens = false;
  const NextTokens first = follow(*begin(std::move(unforced)), {});
  EXPECT_TRUE(first.forced.empty());
  EXPECT_THAT(allowed(first), ::testing::ElementsAre('x'));
}

TEST_F(AnswerConstraintTest, LeavesThinkingFree) {
  for (const std::vector<TokenId>& end :
       {std::vector<TokenId>{kThinkEndToken}, {'<', '/', 't', 'h', 'i', 'n', 'k', '>'}}) {
    AnswerRules inside = rules(GrammarKind::kRegex, "[ab]");
    inside.starts_inside_reasoning = true;
    const auto constraint = begin(std::move(inside));
    EXPECT_TRUE(follow(*constraint, {}).allowed.empty());
    EXPECT_TRUE(follow(*constraint, {'h'}).allowed.empty());
    NextTokens next;
    for (TokenId id : end) {
      EXPECT_TRUE(next.allowed.empty());
      next = follow(*constraint, {id});
    }
    EXPECT_THAT(allowed(next), ::testing::ElementsAre('a', 'b'));
  }
}

TEST_F(AnswerConstraintTest, ThinkingEndsWhereTheModelWouldEndBeforeTheAnswer) {
  AnswerRules bound = rules(GrammarKind::kRegex, "[ab]c");
  bound.starts_inside_reasoning = true;
  bound.end_of_thinking = {'\n', kThinkEndToken, '\n'};
  const auto constraint = begin(std::move(bound));
  EXPECT_THAT(follow(*constraint, {'h'}).instead_of_end, ::testing::ElementsAre('\n', kThinkEndToken, '\n'));
  const NextTokens after = follow(*constraint, {'\n', kThinkEndToken, '\n'});
  EXPECT_THAT(after.instead_of_end, ::testing::IsEmpty());
  EXPECT_THAT(allowed(after), ::testing::ElementsAre('a', 'b'));

  const auto free = begin({.tokenizer = &tokenizer_,
                           .grammar = {},
                           .starts_inside_reasoning = true,
                           .thinking_budget = 9,
                           .end_of_thinking = {kThinkEndToken}});
  EXPECT_THAT(follow(*free, {'h'}).instead_of_end, ::testing::IsEmpty());
}

TEST_F(AnswerConstraintTest, LetsTheModelOpenReasoning) {
  AnswerRules outside = rules(GrammarKind::kRegex, "[ab]c");
  outside.may_open_reasoning = true;
  const auto constraint = begin(std::move(outside));
  EXPECT_THAT(allowed(follow(*constraint, {})), ::testing::ElementsAre('a', 'b', kThinkToken));
  const auto other = std::move(*constraint->clone());
  EXPECT_TRUE(follow(*constraint, {kThinkToken}).allowed.empty());
  EXPECT_THAT(allowed(follow(*constraint, {kThinkEndToken})), ::testing::ElementsAre('a', 'b'));
  EXPECT_THAT(follow(*other, {'a'}).forced, ::testing::ElementsAre('c'));
}

TEST_F(AnswerConstraintTest, EndsThinkingAtTheBudget) {
  const auto constraint = begin({.tokenizer = &tokenizer_,
                                 .grammar = {},
                                 .starts_inside_reasoning = true,
                                 .thinking_budget = 2,
                                 .end_of_thinking = {kThinkEndToken}});
  EXPECT_TRUE(follow(*constraint, {}).forced.empty());
  EXPECT_TRUE(follow(*constraint, {'a'}).forced.empty());
  const NextTokens last = follow(*constraint, {'b'});
  EXPECT_THAT(last.forced, ::testing::ElementsAre(kThinkEndToken));
  EXPECT_TRUE(last.is_last && last.allowed.empty() && !last.is_complete);
}

TEST_F(AnswerConstraintTest, LeavesNoOtherTokenForTheEndOfThinkingWhereTheModelsOpinionIsWanted) {
  const auto constraint = begin({.tokenizer = &tokenizer_,
                                 .grammar = {},
                                 .takes_forced_tokens = false,
                                 .starts_inside_reasoning = true,
                                 .thinking_budget = 1,
                                 .end_of_thinking = {'\n', kThinkEndToken}});
  EXPECT_TRUE(follow(*constraint, {}).allowed.empty());
  const NextTokens first = follow(*constraint, {'a'});
  EXPECT_TRUE(first.forced.empty() && !first.is_last);
  EXPECT_THAT(allowed(first), ::testing::ElementsAre('\n'));
  const auto copy = std::move(*constraint->clone());
  for (TokenConstraint* each : {constraint.get(), copy.get()}) {
    EXPECT_THAT(allowed(follow(*each, {'\n'})), ::testing::ElementsAre(kThinkEndToken));
    const NextTokens last = follow(*each, {kThinkEndToken});
    EXPECT_TRUE(last.is_last && last.allowed.empty());
  }
}

TEST_F(AnswerConstraintTest, ThinkingThatEndsByItselfIsLeftAlone) {
  const auto constraint = begin({.tokenizer = &tokenizer_,
                                 .grammar = {},
                                 .starts_inside_reasoning = true,
                                 .thinking_budget = 9,
                                 .end_of_thinking = {kThinkEndToken}});
  follow(*constraint, {});
  const NextTokens last = follow(*constraint, {kThinkEndToken});
  EXPECT_TRUE(last.is_last && last.forced.empty());
}

class BoundCallsTest : public AnswerConstraintTest {
 protected:
  AnswerRules calls() {
    auto call = grammars_.compile(GrammarKind::kLark, "start: \"x\" /[ab]/ \"!\"");
    EXPECT_TRUE(call) << call.error().message;
    return {.tokenizer = &tokenizer_, .grammar = {}, .calls = CallBinder(tokenizer_, "<call>", std::move(*call))};
  }
  static NextTokens say(TokenConstraint& constraint, std::string_view text) {
    NextTokens next;
    for (const char c : text) {
      EXPECT_TRUE(next.allowed.empty() && next.forced.empty()) << text;
      next = follow(constraint, {c});
      EXPECT_FALSE(next.is_complete || next.is_last);
    }
    return next;
  }
};

TEST_F(BoundCallsTest, HoldsEachFromItsMarkToItsEnd) {
  const auto constraint = begin(calls());
  EXPECT_TRUE(follow(*constraint, {}).allowed.empty());
  for (const char* text : {"I call <call>", " and <call<call>"}) {
    const NextTokens inside = say(*constraint, text);
    EXPECT_THAT(inside.forced, ::testing::ElementsAre('x'));
    EXPECT_THAT(allowed(inside), ::testing::ElementsAre('a', 'b'));
    const NextTokens behind = follow(*constraint, {'a'});
    EXPECT_THAT(behind.forced, ::testing::ElementsAre('!'));
    EXPECT_TRUE(behind.allowed.empty() && !behind.is_complete && !behind.is_last);
  }
  EXPECT_TRUE(say(*constraint, "no <cal l>xa").allowed.empty());
}

TEST_F(BoundCallsTest, CopiesGoTheirOwnWay) {
  AnswerRules unforced = calls();
  unforced.takes_forced_tokens = false;
  const auto constraint = begin(std::move(unforced));
  say(*constraint, "<cal");
  const auto before = std::move(*constraint->clone());
  EXPECT_THAT(allowed(say(*constraint, "l>")), ::testing::ElementsAre('x'));
  const auto within = std::move(*constraint->clone());
  EXPECT_THAT(allowed(follow(*constraint, {'x'})), ::testing::ElementsAre('a', 'b'));
  EXPECT_THAT(allowed(follow(*within, {'x'})), ::testing::ElementsAre('a', 'b'));
  EXPECT_THAT(allowed(say(*before, "l>")), ::testing::ElementsAre('x'));
}

TEST_F(BoundCallsTest, WhatIsThoughtIsFree) {
  AnswerRules thinking = calls();
  thinking.starts_inside_reasoning = true;
  const auto constraint = begin(std::move(thinking));
  EXPECT_TRUE(say(*constraint, "<call>y").allowed.empty());
  follow(*constraint, {kThinkEndToken});
  EXPECT_FALSE(say(*constraint, "<call>").allowed.empty());

  AnswerRules may_think = calls();
  may_think.may_open_reasoning = true;
  EXPECT_FALSE(say(*begin(std::move(may_think)), " <call>").allowed.empty()) << "its < may have begun <think>";
}

TEST_F(AnswerConstraintTest, RefusesWhatIsNoGrammar) {
  const auto error = [&](GrammarKind kind, std::string_view text) {
    const auto grammar = grammars_.compile(kind, text);
    return grammar ? "none" : grammar.error().message;
  };
  EXPECT_THAT(error(GrammarKind::kRegex, "(a"), ::testing::StartsWith("[grammar] "));
  EXPECT_THAT(error(GrammarKind::kJsonSchema, R"({"uniqueItems": true, "type": "array"})"),
              ::testing::HasSubstr("uniqueItems"));
  EXPECT_THAT(error(GrammarKind::kLark, "root ::= [a"), ::testing::HasSubstr("expected ']'"));
  EXPECT_THAT(error(GrammarKind::kRegex, std::string(300'000, 'a')), ::testing::HasSubstr("at most 262144 bytes"));
}

TEST_F(AnswerConstraintTest, LimitsTheSizeOfAGrammarAndTheTimeItTakes) {
  const Grammars small(tokenizer_, {.max_bytes = 10});
  EXPECT_TRUE(small.compile(GrammarKind::kRegex, "0123456789"));
  const auto large = small.compile(GrammarKind::kRegex, "0123456789a");
  EXPECT_EQ(large.error().kind, ErrorKind::kTooLarge);
  EXPECT_EQ(large.error().message, "[grammar] expected at most 10 bytes, got 11");

  const Grammars hasty(tokenizer_, {.max_time = std::chrono::milliseconds(0)});
  for (int i = 0; i < 2; ++i) {
    const auto late = hasty.compile(GrammarKind::kJsonSchema, kSlow);
    EXPECT_EQ(late.error().kind, ErrorKind::kTooLarge);
    EXPECT_EQ(late.error().message, "[grammar] expected one that compiles within 0 ms");
  }
  const auto busy = hasty.compile(GrammarKind::kJsonSchema, kSlow);
  EXPECT_EQ(busy.error().kind, ErrorKind::kUnavailable) << busy.error().message;
  EXPECT_TRUE(hasty.stop());
}

TEST_F(AnswerConstraintTest, TellsWhatStillCompilesWhenItStops) {
  const Grammars idle(tokenizer_), busy(tokenizer_, {.max_time = std::chrono::minutes(10)});
  EXPECT_TRUE(idle.compile(GrammarKind::kRegex, "a+"));
  EXPECT_FALSE(idle.is_compiling());
  EXPECT_FALSE(idle.stop());
  EXPECT_EQ(idle.compile(GrammarKind::kRegex, "a+").error().kind, ErrorKind::kUnavailable);

  auto made = std::async(std::launch::async, [&] { return busy.compile(GrammarKind::kJsonSchema, kSlow); });
  while (!busy.is_compiling() && made.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    std::this_thread::yield();
  EXPECT_TRUE(busy.stop()) << "also what is not over its time";
  made.wait();
  EXPECT_FALSE(busy.stop());
}

}  // namespace
}  // namespace retort::testing
