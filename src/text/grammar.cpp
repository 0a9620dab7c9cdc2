#include "text/grammar.h"

#include <text_bridge.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/large_stack.h"

namespace retort {
namespace {

constexpr size_t kMostForced = 64;    // at once: those after them follow the next time
constexpr size_t kMaxStragglers = 2;  // compilations over their time; while there are so many, no other begins
constexpr char kControlMark = '\xFF';

std::string take(TextBridgeString string) {
  std::string text(string.data, string.length);
  text_bridge_string_free(string);
  return text;
}

tl::unexpected<Error> no_thread(std::string_view reason) {
  return fail(ErrorKind::kUnavailable,
              "[grammar] a thread could not be started: {}. Raise the limit of processes (ulimit -u, or the "
              "container's)",
              reason);
}

tl::unexpected<Error> grammar_error(ErrorKind kind, TextBridgeString message) {
  const std::string text = take(message);
  // So Rust ends what it says of a thread that it could not start.
  if (text.ends_with(fmt::format("(os error {})", EAGAIN))) return no_thread(text);
  return fail(kind, "[grammar] {}", text);
}

void forget_done(std::vector<std::future<Result<GrammarMatcher>>>& compilations) {
  std::erase_if(compilations,
                [](const auto& c) { return c.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
}

size_t encode(const void* tokenizer, const char* text, size_t length, uint32_t* ids, size_t capacity) {
  const auto tokens = static_cast<const Tokenizer*>(tokenizer)->encode({text, length}, {.add_special = false});
  const size_t count = std::min(tokens.size(), capacity);
  std::copy_n(tokens.begin(), count, ids);
  return count;
}

}  // namespace

void GrammarMatcher::Free::operator()(TextBridgeMatcher* matcher) const { text_bridge_matcher_free(matcher); }

Result<GrammarMatcher> GrammarMatcher::clone() const {
  TextBridgeString error{};
  TextBridgeMatcher* matcher = text_bridge_matcher_clone(matcher_.get(), &error);
  if (matcher == nullptr) return grammar_error(ErrorKind::kTooLarge, error);
  return GrammarMatcher(matcher);
}

Status GrammarMatcher::mask(std::span<uint32_t> words) {
  TextBridgeString error{};
  if (text_bridge_matcher_mask(matcher_.get(), words.data(), words.size(), &error) == 0)
    return grammar_error(ErrorKind::kTooLarge, error);
  return {};
}

Status GrammarMatcher::accept(TokenId id) {
  TextBridgeString error{};
  if (text_bridge_matcher_accept(matcher_.get(), static_cast<uint32_t>(id), &error) == 0)
    return grammar_error(ErrorKind::kTooLarge, error);
  return {};
}

Result<std::vector<TokenId>> GrammarMatcher::take_forced() {
  TextBridgeString error{};
  uint32_t ids[kMostForced];
  size_t count = 0;
  if (text_bridge_matcher_take_forced(matcher_.get(), ids, kMostForced, &count, &error) == 0)
    return grammar_error(ErrorKind::kTooLarge, error);
  return std::vector<TokenId>(ids, ids + count);
}

bool GrammarMatcher::is_complete() const { return text_bridge_matcher_is_complete(matcher_.get()) != 0; }

void Grammars::Free::operator()(TextBridgeGrammars* grammars) const { text_bridge_grammars_free(grammars); }

Status Grammars::prepare() const {
  const std::lock_guard lock(prepare_mutex_);
  if (grammars_ != nullptr) return {};
  if (tokenizer_.stop_tokens().empty())
    return fail(ErrorKind::kUnsupported, "[grammar] the model has no end-of-text token");
  std::string bytes;
  std::vector<uint32_t> lengths;
  for (TokenId id = 0; id < tokenizer_.vocab_size(); ++id) {
    const size_t before = bytes.size();
    const TokenKind kind = tokenizer_.kind(id);
    if (kind == TokenKind::kControl || kind == TokenKind::kUnknown) bytes += kControlMark;
    if (kind != TokenKind::kUnused) bytes += tokenizer_.token_bytes(id);
    lengths.push_back(static_cast<uint32_t>(bytes.size() - before));
  }
  const std::vector<uint32_t> eos(tokenizer_.stop_tokens().begin(), tokenizer_.stop_tokens().end());
  const TextBridgeVocabulary vocabulary{.bytes = reinterpret_cast<const uint8_t*>(bytes.data()),
                                        .lengths = lengths.data(),
                                        .num_tokens = lengths.size(),
                                        .eos_ids = eos.data(),
                                        .num_eos_ids = eos.size(),
                                        .encode = encode,
                                        .context = &tokenizer_};
  TextBridgeString error{};
  grammars_.reset(text_bridge_grammars_new(&vocabulary, &error));
  if (grammars_ == nullptr) return grammar_error(ErrorKind::kUnavailable, error);
  return {};
}

Result<GrammarMatcher> Grammars::compile(GrammarKind kind, std::string_view text) const {
  if (text.size() > limits_.max_bytes)
    return fail(ErrorKind::kTooLarge, "[grammar] expected at most {} bytes, got {}", limits_.max_bytes, text.size());
  RETORT_TRY(prepare());
  RETORT_TRY(begin());
  // Nothing can stop the compiler, so it has a thread that can be left behind.
  std::future<Result<GrammarMatcher>> matcher;
  try {
    matcher = std::async(std::launch::async, [this, kind, text = std::string(text)] {
      const std::unique_ptr<const Grammars, void (*)(const Grammars*)> ends(this, [](auto* self) { self->end(); });
      return compile_now(kind, text);
    });
  } catch (const std::system_error& error) {
    end();
    return no_thread(error.what());
  }
  if (matcher.wait_for(limits_.max_time) == std::future_status::ready) return matcher.get();
  const std::lock_guard lock(mutex_);
  stragglers_.push_back(std::move(matcher));
  return fail(ErrorKind::kTooLarge, "[grammar] expected one that compiles within {} ms", limits_.max_time.count());
}

Status Grammars::begin() const {
  const std::lock_guard lock(mutex_);
  forget_done(stragglers_);
  if (is_stopped_) return fail(ErrorKind::kUnavailable, "[grammar] the server ends");
  if (const size_t count = stragglers_.size(); count >= kMaxStragglers)
    return fail(ErrorKind::kUnavailable, "[grammar] {} that took too long still compile", count);
  ++num_compiling_;
  return {};
}

void Grammars::end() const {
  const std::lock_guard lock(mutex_);
  --num_compiling_;
}

bool Grammars::is_compiling() const {
  const std::lock_guard lock(mutex_);
  forget_done(stragglers_);
  return num_compiling_ > 0 || !stragglers_.empty();
}

bool Grammars::stop() const {
  const std::lock_guard lock(mutex_);
  is_stopped_ = true;
  return num_compiling_ > 0;
}

Result<GrammarMatcher> Grammars::compile_now(GrammarKind kind, std::string_view text) const {
  TextBridgeString error{};
  TextBridgeMatcher* matcher = nullptr;
  RETORT_TRY(run_with_stack(TEXT_BRIDGE_COMPILE_STACK, [&] {
    matcher = text_bridge_matcher_new(grammars_.get(), static_cast<uint32_t>(kind), text.data(), text.size(), &error);
  }));
  if (matcher == nullptr) return grammar_error(ErrorKind::kBadInput, error);
  return GrammarMatcher(matcher);
}

}  // namespace retort
