// The answer to POST /v1/responses: a response of items (reasoning, a message, calls), whole or as the events that make
// it. I/O thread.
#pragma once

#include <string>

#include "server/reply.h"
#include "server/responses/request.h"
#include "server/responses/store.h"

namespace retort::responses {

class ResponseReply : public Reply {
 public:
  // `id`: "resp_…". `conversation`: the messages that were asked with, without the instructions.
  ResponseReply(const ServedModel& model, const Job& job, const Request& request, std::string id,
                std::string name_in_store, Json conversation, ResponseStore& store);
  ~ResponseReply() override;

  void degrade(const std::vector<EngineRequest>& instead) override;
  void begin(const std::function<void()>& cancel) override;
  Json whole() override;
  std::string chunks() override;
  std::string last_chunks() override;
  std::string error_chunks(const ApiError& error) const override;

 private:
  enum class Kind { kReasoning, kMessage, kCall };
  struct Item {
    Kind kind;
    std::string id;
    std::string text = {};
    Json logprobs = Json::array();        // of a message
    std::string name = {}, call_id = {};  // of a call, whose text is its arguments
    bool is_cut_call = false;             // these are no JSON yet
  };
  static std::string new_id(Kind kind);
  static Item call_item(const ToolCallPart& call);

  Json response(std::string_view status) const;  // as it is now
  Json end();                                    // the last state of it, kept when asked
  std::string_view status() const;
  Json item_json(const Item& item, std::string_view status, bool with_text) const;
  Json part_json(const Item& item, bool with_text) const;
  Json logprobs_of(const Delta& delta) const;
  bool needs_empty_message() const;
  std::string_view status_of(const Item& item, std::string_view response_status) const;

  std::string event(std::string_view type, const Json& data) const;
  std::string item_event(std::string_view type, const Json& data) const;  // of the last item
  void add_beginning(std::string& events);
  void add_new(std::string& events);
  Item& open_item(Kind kind, std::string& events);
  void add_text(std::string text, Json logprobs, std::string& events);
  void add_call(const ToolCallPart& call, std::string& events);
  void begin_call(const ToolCallPart& call, std::string& events);
  Json tools_json() const;
  void close_item(std::string& events);

  const Request& request_;
  Json conversation_;
  ResponseStore& store_;
  std::string id_, name_;  // name_: in the store
  int64_t created_at_;
  Json max_output_tokens_;
  float temperature_, top_p_;
  std::vector<Item> items_;
  bool is_item_open_ = false;
  bool has_begun_ = false, has_ended_ = false, is_cancelled_ = false;
  mutable int64_t num_events_ = 0;
};

}  // namespace retort::responses
