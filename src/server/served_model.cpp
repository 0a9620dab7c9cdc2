#include "server/served_model.h"

namespace retort {

bool is_reasoning_model(const ChatTemplate* chat_template) {
  return chat_template != nullptr && chat_template->source().find("</think>") != std::string::npos;
}

}  // namespace retort
