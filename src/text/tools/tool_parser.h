// Finds calls of tools in the text of an answer that comes in pieces. What could still become a call is held back; a
// call is told when it is whole and valid, for what has been sent cannot be taken back. Anything else is content: a
// call that is cut off, is not JSON or names no tool that was offered comes out as it was written. How the text is cut
// does not change what comes out.
// A call that a grammar holds to its form may be told while it is being written: what it turns out to be is a call, but
// for what JSON's grammar allows and its readers do not, half a surrogate pair or a number that no double holds.
// Where it holds the answer to calls and nothing else, one that is cut off before it says anything is nothing.
// Belongs to one answer, used by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/tools/call_syntax.h"
#include "text/tools/json_compactor.h"
#include "text/tools/json_scanner.h"
#include "text/tools/tool_format.h"

namespace retort {

// A call, or what has come of one. Only its first part has the name; together the arguments are a JSON object. A call
// without a last part is cut off.
struct ToolCallPart {
  std::string name, arguments;
  bool is_last = true;
};
using ToolPiece = std::variant<std::string, ToolCallPart>;  // content, or a call

// How calls are told that stand in a grammar's form; those in any other form are told whole.
enum class CallBinding {
  kNone,    // there is no grammar
  kWhole,   // when they are whole
  kPieces,  // while they are written
};

class ToolCallParser {
 public:
  // `names`: of the tools that were offered. `must_call`: the grammar knows no other answer.
  ToolCallParser(ToolFormat format, std::shared_ptr<const std::vector<std::string>> names,
                 CallBinding binding = CallBinding::kNone, bool must_call = false)
      : format_(format), names_(std::move(names)), binding_(binding), must_call_(must_call) {}

  std::vector<ToolPiece> push(std::string_view text);
  std::vector<ToolPiece> finish();  // the answer has ended

 private:
  enum class Step { kGoOn, kWait };

  Step skip_closing_marks();
  Step read_content();
  Step read_call();
  Step read_free_call(const CallHead& head);
  Step read_bound_call();
  Step skip_end_of_call();
  void tell_arguments(size_t end, bool is_last);
  void end_call(size_t length);
  Step refuse_call(size_t length);
  Step refuse_cut_call();
  bool has_frame_alone() const;
  void run();
  void say(size_t length);  // the beginning of what is held is content
  bool is_known(std::string_view name) const;

  ToolFormat format_;
  std::shared_ptr<const std::vector<std::string>> names_;
  CallBinding binding_;
  bool must_call_;
  std::string held_;
  std::string space_;                // white space after the content said so far: dropped beside calls
  std::optional<JsonScanner> json_;  // of the call that held_ begins with
  std::optional<CallHead> bound_;    // of that call, where a grammar holds it
  JsonCompactor compactor_;          // of its arguments, so many bytes of which have been told:
  size_t num_told_ = 0;
  std::string end_of_call_;     // what a bound call must still write behind its arguments
  bool is_in_call_ = false;     // held_ begins with what may be a call
  bool is_after_call_ = false;  // nothing has been said since a call
  bool is_fence_open_ = false;  // of the last call
  bool has_said_ = false;       // content, since the beginning or the last call
  bool is_ending_ = false;
  int num_retries_ = 0;
  std::vector<ToolPiece> pieces_;
};

}  // namespace retort
