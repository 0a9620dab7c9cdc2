// Any bytes as a chat template, a NUL and a JSON message: compiled, and rendered where its memory is bounded.
#include <algorithm>
#include <cstdint>

#include "text/chat_template.h"

namespace {

using namespace retort;

// Values that are made from themselves again and again grow without end, and fuel does not count it.
bool may_grow(std::string_view source) {
  constexpr std::string_view kKeeping[] = {"set", "macro", "recursive", "namespace"};
  return std::any_of(std::begin(kKeeping), std::end(kKeeping),
                     [&](std::string_view word) { return source.find(word) != std::string_view::npos; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), std::min<size_t>(size, 4096));
  const size_t border = std::min(input.find('\0'), input.size());
  const std::string_view source = input.substr(0, border);
  const auto compiled = ChatTemplate::compile(source, "<s>", "</s>");
  if (!compiled || may_grow(source) || source.find_first_of("0123456789") != std::string_view::npos) return 0;

  ChatTemplateInput conversation;
  Json message = Json::parse(input.substr(std::min(border + 1, input.size())), nullptr, false);
  if (message.is_discarded()) message = {{"role", "user"}, {"content", "Hi"}};
  conversation.messages = {{{"role", "system"}, {"content", ""}}, message};
  conversation.continue_final_message = size % 2 == 0;
  (void)compiled->render(conversation);
  return 0;
}
