#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/chat/session.h"
#include "cli/chat/sse.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Sse, EventsMayBeCutAnywhere) {
  const std::string stream =
      ": comment\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\ndata\n\ndata: [DONE]\n\n";
  SseParser whole;
  EXPECT_THAT(whole.push(stream).value(), ElementsAre("{\"a\":1}", "two\nlines", "[DONE]"));
  SseParser bytewise;
  std::vector<std::string> events;
  for (const char c : stream) {
    const auto come = bytewise.push(std::string(1, c));
    events.insert(events.end(), come->begin(), come->end());
  }
  EXPECT_THAT(events, ElementsAre("{\"a\":1}", "two\nlines", "[DONE]"));
  EXPECT_THAT(SseParser().push("data: not yet ended\n").value(), IsEmpty());
}

TEST(Sse, AnEventIsNotKeptWithoutABound) {
  const std::string megabyte(1 << 20, 'a');
  for (const std::string& piece : {megabyte, "data: " + megabyte + "\n"}) {
    SseParser parser;
    size_t taken = 0;
    auto events = parser.push("");
    for (; events && taken < 2 * SseParser::kMaxEventBytes; taken += megabyte.size()) events = parser.push(piece);
    ASSERT_FALSE(events);
    EXPECT_EQ(events.error().kind, ErrorKind::kTooLarge);
  }
}

// Answers with what it was asked, or with an error.
class EchoBackend : public ChatBackend {
 public:
  std::string model_name() const override { return "echo"; }
  Result<ChatStats> answer(const Json& messages, const ChatSink& sink, const std::atomic<bool>&) override {
    asked = messages;
    if (fails) return fail(ErrorKind::kIo, "[chat] out of order");
    if (is_stopped) {
      std::raise(SIGINT);
      return ChatStats{.finish_reason = "abort"};
    }
    sink.on_reasoning("let me think");
    sink.on_content("you said: ");
    sink.on_content(messages.back()["content"].get<std::string>());
    return ChatStats{.prompt_tokens = 5,
                     .cached_tokens = 2,
                     .answer_tokens = 11,
                     .seconds_to_first = 1,
                     .seconds = 2,
                     .finish_reason = finish_reason};
  }
  std::string finish_reason = "stop";
  Json asked;
  bool fails = false, is_stopped = false;
};

class Session : public ::testing::Test {
 protected:
  // What `line` makes the session print to standard output and error.
  std::string out, err;
  bool take(const std::string& line) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const bool stays = session.take_line(line);
    out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return stays;
  }
  EchoBackend backend;
  Interrupt interrupt;
  ChatSession session{backend, interrupt, {{.dim = "<dim>", .bold = "", .reset = "<reset>"}, true}};
};

TEST_F(Session, ReasoningIsDimmedAndNotSentAgain) {
  EXPECT_TRUE(take("hello"));
  EXPECT_EQ(out, "<dim>let me think<reset>\n\nyou said: hello\n");
  take("more");
  EXPECT_EQ(backend.asked,
            Json::parse(R"([{"role":"user","content":"hello"},{"role":"assistant","content":"you said: hello"},
                                           {"role":"user","content":"more"}])"));
}

TEST_F(Session, SystemAndReset) {
  take("/system be brief");
  take("hello");
  EXPECT_EQ(backend.asked[0], Json::parse(R"({"role":"system","content":"be brief"})"));
  take("/system");
  EXPECT_THAT(err, HasSubstr("be brief"));
  take("/reset");
  take("again");
  EXPECT_EQ(backend.asked.size(), 2u);
  take("/system off");
  EXPECT_THAT(err, HasSubstr("no system message"));
  take("/reset");
  take("and again");
  EXPECT_EQ(backend.asked.size(), 1u);
}

TEST_F(Session, TellsWhyAnAnswerEnded) {
  take("hello");
  EXPECT_EQ(err, "");
  for (const auto& [reason, said] :
       {std::pair("length", "limit of tokens: --max-tokens"), std::pair("repetition", "went round in a circle"),
        std::pair("abort", "the server ended the answer early")}) {
    backend.finish_reason = reason;
    take("hello");
    EXPECT_THAT(err, HasSubstr(said));
  }
}

TEST_F(Session, AQuestionStoppedBeforeItsAnswerBeganIsLeftOut) {
  backend.is_stopped = true;
  take("a long document");
  EXPECT_THAT(err, HasSubstr("the question is left out"));
  backend.is_stopped = false;
  take("hello");
  EXPECT_EQ(backend.asked, Json::parse(R"([{"role":"user","content":"hello"}])"));
}

TEST_F(Session, QuitLeaves) {
  EXPECT_TRUE(take(""));
  EXPECT_TRUE(take("/help"));
  EXPECT_THAT(err, HasSubstr("/save FILE"));
  EXPECT_FALSE(take("/quit"));
  EXPECT_FALSE(take("  /exit "));
}

TEST_F(Session, OnlyASlashAndAWordIsACommand) {
  for (const auto* line : {"// a comment", "/usr/bin is what?", "/", "/2"}) {
    backend.asked = nullptr;
    take(line);
    EXPECT_EQ(backend.asked.back()["content"], line);
  }
  backend.asked = nullptr;
  take("/rest");
  EXPECT_TRUE(backend.asked.is_null());
  EXPECT_THAT(err, HasSubstr("did you mean 'reset'?"));
}

TEST_F(Session, AFailedQuestionIsForgotten) {
  backend.fails = true;
  take("hello");
  EXPECT_THAT(err, HasSubstr("out of order"));
  EXPECT_TRUE(session.has_failed());
  EXPECT_TRUE(session.messages().empty());
  backend.fails = false;
  take("hello");
  EXPECT_FALSE(session.has_failed());
}

TEST_F(Session, SavesMarkdownAndJson) {
  take("hello");
  const auto folder = std::filesystem::path(::testing::TempDir()) / "retort_saves";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  take("/save " + (folder / "retort_chat.json").string());
  std::ifstream json(folder / "retort_chat.json");
  EXPECT_EQ(Json::parse(json), session.messages());
  take("/save " + (folder / "retort_chat.md").string());
  std::ifstream markdown(folder / "retort_chat.md");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(markdown), {}),
              HasSubstr("## assistant\n\nyou said: hello\n"));
  EXPECT_THAT(err, HasSubstr("saved 2 messages to "));
  take("/save /nowhere/at/all");
  EXPECT_THAT(err, HasSubstr("/nowhere/at/all could not be written: No such file or directory"));
  take("/save /dev/full");
  EXPECT_THAT(err, HasSubstr("/dev/full could not be written: No space left on device"));
  take("/save");
  EXPECT_THAT(err, HasSubstr("needs the name"));
}

TEST_F(Session, ReplacesAFileOnlyWhenAskedTwice) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "retort_kept.md";
  const auto text = [&] {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  std::ofstream(path) << "precious";
  take("hello");
  take("/save " + path.string());
  EXPECT_THAT(err, HasSubstr("retort_kept.md is there already; the same command once more replaces it"));
  EXPECT_EQ(text(), "precious");
  take("/save " + path.string());
  EXPECT_THAT(text(), HasSubstr("you said: hello"));
  take("again");
  take("/save " + path.string());
  EXPECT_THAT(text(), HasSubstr("you said: again"));
}

TEST_F(Session, SavesIntoTheHomeFolder) {
  const std::string home = std::getenv("HOME");
  ::setenv("HOME", ::testing::TempDir().c_str(), 1);
  const auto path = std::filesystem::path(::testing::TempDir()) / "retort_home.md";
  std::filesystem::remove(path);
  take("/save ~/retort_home.md");
  ::setenv("HOME", home.c_str(), 1);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(Session, Stats) {
  take("/stats");
  EXPECT_THAT(err, HasSubstr("no answer yet"));
  take("hello");
  take("/stats");
  EXPECT_THAT(err, HasSubstr("10.0 tokens/s"));
  EXPECT_THAT(err, HasSubstr("5 tokens, 2 of them cached"));
  take("/reset");
  take("/stats");
  EXPECT_THAT(err, HasSubstr("no answer yet"));
  take("hello");
  take("/stats");
  EXPECT_THAT(err, HasSubstr("1 answer, 5 prompt and 11 answer tokens"));
}

TEST_F(Session, OneMessageIsNotSeveral) {
  take("/system be brief");
  const std::string path = ::testing::TempDir() + "retort_chat_one.json";
  std::filesystem::remove(path);
  take("/save " + path);
  EXPECT_THAT(err, HasSubstr("saved 1 message to "));
}

TEST(InterruptFlag, CtrlCIsAFlagWhileItLives) {
  Interrupt interrupt;
  EXPECT_FALSE(interrupt.take());
  std::raise(SIGINT);
  EXPECT_TRUE(interrupt.flag());
  EXPECT_TRUE(interrupt.take());
  EXPECT_FALSE(interrupt.take());
}

}  // namespace
}  // namespace retort
