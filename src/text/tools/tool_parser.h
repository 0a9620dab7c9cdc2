// Finds calls of tools in the text of an answer that comes in pieces. What could still become a call is held back; a
// call is told when it is whole and valid, for what has been sent cannot be taken back. Anything else is content: a
// call that is cut off, is not JSON or names no tool that was offered comes out as it was written. How the text is cut
// does not change what comes out. Belongs to one answer, used by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/tools/json_scanner.h"
#include "text/tools/tool_format.h"

namespace retort {

using ToolPiece = std::variant<std::string, ToolCall>;  // content, or a call

class ToolCallParser {
 public:
  // `names`: of the tools that were offered.
  ToolCallParser(ToolFormat format, std::shared_ptr<const std::vector<std::string>> names)
      : format_(format), names_(std::move(names)) {}

  std::vector<ToolPiece> push(std::string_view text);
  std::vector<ToolPiece> finish();  // the answer has ended

 private:
  enum class Step { kGoOn, kWait };

  Step skip_closing_marks();
  Step read_content();
  Step read_call();
  Step refuse_call(size_t length);
  void run();
  void say(size_t length);  // the beginning of what is held is content
  bool is_known(std::string_view name) const;

  ToolFormat format_;
  std::shared_ptr<const std::vector<std::string>> names_;
  std::string held_;
  std::string space_;                // white space after the content said so far: dropped beside calls
  std::optional<JsonScanner> json_;  // of the call that held_ begins with
  bool is_in_call_ = false;          // held_ begins with what may be a call
  bool is_after_call_ = false;       // nothing has been said since a call
  bool is_fence_open_ = false;       // of the last call
  bool has_said_ = false;            // content, since the beginning or the last call
  bool is_ending_ = false;
  int num_retries_ = 0;
  std::vector<ToolPiece> pieces_;
};

}  // namespace retort
