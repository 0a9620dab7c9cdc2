// Messages → prompt: what the template, the model's ways and the flags make of a conversation.
#include "server/openai/prompt.h"

#include <gtest/gtest.h>

#include "fake_model.h"

namespace retort::testing {
namespace {

class BuildPromptTest : public ::testing::Test {
 protected:
  BuildPromptTest() : served_(model_.served()) {}

  openai::ChatPrompt prompt_of(const char* source) {
    own_ = std::make_unique<ChatTemplate>(ChatTemplate::compile(source, "", "").value());
    served_.chat_template = own_.get();
    return openai::build_chat_prompt(served_, input_, true).value();
  }
  std::string text_of(const openai::ChatPrompt& prompt) const {
    std::string text;
    for (const TokenId token : prompt.tokens) text += served_.tokenizer->token_bytes(token);
    return text;
  }

  FakeModel model_;
  ServedModel served_;
  std::unique_ptr<ChatTemplate> own_;
  ChatTemplateInput input_{.messages = {{{"role", "user"}, {"content", "hi"}}}, .tools = {}};
};

TEST_F(BuildPromptTest, WithoutATemplateTheReasonIsTold) {
  served_.chat_template = nullptr;
  served_.chat_fault = "has a chat template that does not compile ([chat template] line 1: no)";
  const auto prompt = openai::build_chat_prompt(served_, input_, true);
  ASSERT_FALSE(prompt);
  EXPECT_EQ(prompt.error().status, 400);
  EXPECT_EQ(prompt.error().message,
            "the model 'fake' has a chat template that does not compile ([chat template] line 1: no); use "
            "/v1/completions, or serve it with --chat-template");
}

TEST_F(BuildPromptTest, ThinkingIsForcedOnceAndNotAfterATemplateThatClosesIt) {
  served_.force_thinking = served_.is_reasoning = true;
  const auto forced = prompt_of("{{ messages[0].content }}:");
  EXPECT_EQ(text_of(forced), "hi:<think>\n");
  EXPECT_TRUE(forced.starts_inside_reasoning);
  const auto opened = prompt_of("{{ messages[0].content }}:<think>");
  EXPECT_EQ(text_of(opened), "hi:<think>");
  EXPECT_TRUE(opened.starts_inside_reasoning);
  const auto closed = prompt_of("{{ messages[0].content }}:<think>\n</think>");
  EXPECT_EQ(text_of(closed), "hi:<think>\n</think>");
  EXPECT_FALSE(closed.starts_inside_reasoning);
  EXPECT_FALSE(closed.may_open_reasoning);
}

}  // namespace
}  // namespace retort::testing
