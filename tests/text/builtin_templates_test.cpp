#include <gtest/gtest.h>

#include "text/chat_template.h"

namespace retort {
namespace {

ChatTemplateInput conversation() {
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello", "refusal": null},
    {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]}])");
  return input;
}

std::string render(std::string_view name, const ChatTemplateInput& input) {
  return ChatTemplate::compile(builtin_chat_template(name), "<s>", "</s>").value().render(input).value();
}

TEST(BuiltinTemplates, RenderTheirFamiliesFormats) {
  EXPECT_EQ(render("chatml", conversation()),
            "<|im_start|>system\nBe "
            "brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\nHello"
            "<|im_end|>\n<|im_start|>user\nAnd\nnow?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(
      render("deepseek-r1", conversation()),
      "<s>Be "
      "brief.<｜User｜>Hi<｜Assistant｜>\n\nHello<｜end▁of▁sentence｜><｜User｜>And\nnow?<｜Assistant｜><think>\n");
  EXPECT_EQ(builtin_chat_template("unknown"), nullptr);
}

TEST(ChatTemplate, GoesOnWithTheFinalMessage) {
  ChatTemplateInput input = conversation();
  input.messages.push_back({{"role", "assistant"}, {"content", "The answer is "}});
  input.continue_final_message = true;
  EXPECT_TRUE(render("chatml", input).ends_with("<|im_start|>assistant\nThe answer is "));
}

TEST(ChatTemplate, ErrorsSayLineAndReason) {
  const auto broken = ChatTemplate::compile("{% if %}", "", "");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().kind, ErrorKind::kBadInput);
  EXPECT_NE(broken.error().message.find("line 1: "), std::string::npos) << broken.error().message;

  const auto refusing = ChatTemplate::compile("\n\n{{ raise_exception('roles must alternate') }}", "", "").value();
  EXPECT_EQ(refusing.render(conversation()).error().message, "[chat template] line 3: roles must alternate");
}

TEST(ChatTemplate, ToolCallArgumentsArriveAsObjects) {
  const auto shows = ChatTemplate::compile("{{ messages[0].tool_calls[0].function.arguments.city }}", "", "").value();
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "assistant", "content": null,
    "tool_calls": [{"function": {"name": "weather", "arguments": "{\"city\": \"Paris\"}"}}]}])");
  EXPECT_EQ(shows.render(input).value(), "Paris");
}

TEST(ChatTemplate, ToolCallArgumentsArriveAsTextWhereTheTemplateJoinsThem) {
  const auto joins =
      ChatTemplate::compile("{{ 'json: ' + messages[0].tool_calls[0].function.arguments + ';' }}", "", "").value();
  ChatTemplateInput input;
  for (const char* arguments : {R"("{\"city\": \"Paris\"}")", R"({"city": "Paris"})"}) {
    input.messages = Json::parse(R"([{"role": "assistant", "content": null,
      "tool_calls": [{"function": {"name": "weather"}}]}])");
    input.messages[0]["tool_calls"][0]["function"]["arguments"] = Json::parse(arguments);
    const std::string rendered = joins.render(input).value();
    EXPECT_EQ(rendered.substr(0, 6), "json: ");
    EXPECT_EQ(Json::parse(rendered.substr(6, rendered.size() - 7)), Json({{"city", "Paris"}}));
  }
}

// Our own answers have null there beside tool calls; some templates ask for what stands in the text.
TEST(ChatTemplate, ContentThatIsNullIsEmptyUnlessTheTemplateAsks) {
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "assistant", "content": null, "tool_calls": []}])");
  const auto looks = ChatTemplate::compile("{{ '</think>' in messages[0].content }}", "", "").value();
  EXPECT_EQ(looks.render(input).value(), "False");
  const auto asks = ChatTemplate::compile("{{ messages[0]['content'] is none }}", "", "").value();
  EXPECT_EQ(asks.render(input).value(), "True");
}

}  // namespace
}  // namespace retort
