// What bodies the OpenAI endpoints take, and what they say to others.
#include <gtest/gtest.h>

#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"

namespace retort::openai {
namespace {

Json chat_body(const char* more = "{}") {
  Json body = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})");
  body.update(Json::parse(more));
  return body;
}

std::string chat_error(const Json& body) {
  const auto request = parse_chat_request(body);
  return request ? "" : request.error().message;
}

std::string completion_error(const char* body) {
  const auto request = parse_completion_request(Json::parse(body));
  return request ? "" : request.error().message;
}

TEST(ChatRequest, ReadsWhatIsHonoured) {
  const auto request = parse_chat_request(chat_body(R"({
    "temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "seed": -5, "n": 3, "max_tokens": 10, "max_completion_tokens": 7,
    "stop": ["a", ""], "logit_bias": {"5": -100}, "logprobs": true, "top_logprobs": 2, "stream": true,
    "stream_options": {"include_usage": true, "include_obfuscation": false}, "presence_penalty": 1, "user": "u", "metadata": {},
    "store": false, "chat_template_kwargs": {"enable_thinking": false}, "response_format": {"type": "text"}, "tools": [],
    "tool_choice": "auto", "parallel_tool_calls": true, "modalities": ["text"], "best_of": 1})"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->max_tokens, 7) << "max_completion_tokens wins";
  EXPECT_EQ(request->stop, std::vector<std::string>{"a"});
  EXPECT_EQ(request->logit_bias, (std::map<TokenId, float>{{5, -100.0f}}));
  EXPECT_EQ(request->seed, -5);
  EXPECT_TRUE(request->include_usage);
  EXPECT_EQ(request->chat_template_kwargs, Json::parse(R"({"enable_thinking": false})"));
}

TEST(ChatRequest, RefusesByNameWhatIsNotHonouredYet) {
  for (const char* field :
       {R"("guided_whitespace_pattern": "x")", R"("best_of": 2)", R"("audio": {})", R"("modalities": ["audio"])"}) {
    const Json extra = Json::parse(fmt::format("{{{}}}", field));
    const std::string name = extra.begin().key();
    EXPECT_TRUE(chat_error(chat_body(extra.dump().c_str())).starts_with(name + ": ")) << field;
  }
}

TEST(ChatRequest, HoldsFieldsAgainstEachOther) {
  EXPECT_EQ(chat_error(chat_body(R"({"stream_options": {}})")), "stream_options: only allowed when stream is true");
  EXPECT_EQ(chat_error(chat_body(R"({"top_logprobs": 2})")), "top_logprobs: only allowed when logprobs is true");
  EXPECT_EQ(chat_error(chat_body(R"({"max_tokens": 3, "min_tokens": 4})")),
            "min_tokens: expected at most max_tokens (3), got 4");
  EXPECT_EQ(chat_error(chat_body(R"({"max_tokens": 0})")),
            "max_tokens: expected an integer from 1 to 2147483647, got 0");
  EXPECT_EQ(chat_error(chat_body(R"({"continue_final_message": true, "add_generation_prompt": true})")),
            "continue_final_message: cannot be used together with add_generation_prompt");
  const Json call = {{"id", "1"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}};
  Json calls = chat_body(R"({"continue_final_message": true})");
  calls["messages"].push_back({{"role", "assistant"}, {"content", "So"}, {"tool_calls", {call}}});
  EXPECT_EQ(chat_error(calls), "continue_final_message: the last message calls tools");
  EXPECT_EQ(chat_error(chat_body(R"({"stream": true, "stream_options": {"include_usge": true}})")),
            "stream_options: unknown field 'include_usge' (did you mean 'include_usage'?)");
  EXPECT_EQ(chat_error(chat_body(
                R"({"stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]})")),
            "stop: expected at most 16 strings, got 17");
  EXPECT_EQ(chat_error(chat_body(R"({"logit_bias": {"x": 1}})")),
            R"(logit_bias["x"]: expected a token id as key, got "x")");
  EXPECT_EQ(chat_error(chat_body(R"({"cache_salt": ""})")),
            "cache_salt: expected a string that is not empty, got \"\"");
  EXPECT_EQ(chat_error(chat_body(R"({"n": 65})")), "n: expected an integer from 1 to 64, got 65");
  EXPECT_EQ(chat_error(Json::parse("{}")), "messages: required, and missing");
}

TEST(ChatMessages, BringsThemIntoOneShape) {
  const auto messages = normalise_messages(Json::parse(R"([
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "eve"},
    {"role": "assistant", "content": null, "refusal": null, "annotations": [], "audio": null, "function_call": null,
     "reasoning": "r", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "content": "4", "tool_call_id": "1"}])"));
  ASSERT_TRUE(messages) << messages.error().message;
  EXPECT_EQ(*messages, Json::parse(R"([
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "a\nb", "name": "eve"},
    {"role": "assistant", "content": null, "reasoning_content": "r",
     "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "content": "4", "tool_call_id": "1"}])"));
}

TEST(ChatMessages, SaysWhichIsWrong) {
  const auto error = [](const char* messages) {
    const auto result = normalise_messages(Json::parse(messages));
    return result ? "" : result.error().message;
  };
  EXPECT_EQ(error("[]"), "messages: expected a list of at least one message, got []");
  EXPECT_EQ(error(R"([{"role": "user"}])"), "messages[0].content: required, and missing");
  EXPECT_EQ(error(R"([{"content": "x"}])"), "messages[0].role: required, and missing");
  EXPECT_EQ(error(R"([{"role": "king", "content": "x"}])"),
            R"(messages[0].role: expected system, developer, user, assistant or tool, got "king")");
  EXPECT_EQ(error(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])"),
            "messages[0].content[0]: content of type 'image_url' is not supported, only 'text' is");
  EXPECT_EQ(error(R"([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "c9", "content": "4"}])"),
            R"(messages[1].tool_call_id: expected the id of a call that an earlier message has, got "c9")");
  EXPECT_EQ(error(R"([{"role": "tool", "content": "4"}])"), "") << "an id may be left out";
  EXPECT_EQ(error(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
                      {"role": "tool", "tool_call_id": "c9", "content": "4"}])"),
            "")
      << "here too";
  EXPECT_EQ(error(R"([{"role": "user", "contnet": "x"}])"),
            "messages[0]: unknown field 'contnet' (did you mean 'content'?)");
  EXPECT_EQ(error(R"(["x"])"), R"(messages[0]: expected an object, got "x")");
  EXPECT_EQ(error(R"([{"role": "user", "content": 5}])"),
            "messages[0].content: expected a string or a list of content parts, got 5");
}

TEST(CompletionRequest, TakesEveryFormOfPrompt) {
  const auto prompts = [](const char* prompt) { return read_prompts(Json::parse(prompt)); };
  EXPECT_EQ(prompts(R"("a")"), (std::vector<RawPrompt>{"a"}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), (std::vector<RawPrompt>{"a", "b"}));
  EXPECT_EQ(prompts("[1, 2]"), (std::vector<RawPrompt>{std::vector<TokenId>{1, 2}}));
  EXPECT_EQ(prompts("[[1], [2]]"), (std::vector<RawPrompt>{std::vector<TokenId>{1}, std::vector<TokenId>{2}}));
  for (const char* bad : {"5", "[]", "[\"a\", 1]", "[1, \"a\"]", "[[1], [\"a\"]]", "{}", "[true]"})
    EXPECT_FALSE(prompts(bad)) << bad;
}

TEST(CompletionRequest, HasItsOwnRules) {
  EXPECT_EQ(parse_completion_request(Json::parse(R"({"prompt": "a"})"))->max_tokens, 16);
  EXPECT_EQ(completion_error(R"({"prompt": "a", "suffix": "x"})"), "suffix: not supported");
  EXPECT_EQ(completion_error(R"({"prompt": "a", "max_tokens": 0})"),
            "max_tokens: expected an integer from 1 to 2147483647, or 0 with echo, got 0");
  EXPECT_EQ(completion_error(R"({"prompt": "a", "max_tokens": 0, "echo": true, "logprobs": 0})"), "");
  EXPECT_EQ(completion_error(R"({"prompt": "a", "messages": []})"), "unknown field 'messages'");
  EXPECT_EQ(completion_error(R"({"prompt": null})"), "prompt: required, and missing");
}

}  // namespace
}  // namespace retort::openai
