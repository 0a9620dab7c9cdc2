#include "formats/json.h"

#include <vector>

#include "formats/mapped_tensors.h"

namespace retort {
namespace {

using nlohmann::json;

// Builds the value as the parser reads it, and stops the parser at the first thing over a limit. nlohmann's own builder
// knows no limits, and its hook for them looks through all earlier siblings at each object's end.
class Builder : public nlohmann::json_sax<json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return stop("binary data"); }  // never in text
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    auto [place, is_new] = open_.back()->emplace(key, nullptr);
    if (!is_new && limits_.refuse_duplicate_keys) return stop(fmt::format("key {} twice", printable(key)));
    slot_ = &*place;
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    std::string_view what = error.what();
    what.remove_prefix(std::min(what.size(), what.find("] ") + 2));  // "[json.exception.parse_error.101] "
    return stop(fmt::format("no JSON: {}", printable(what)));
  }

  json& value() { return root_; }
  const std::string& problem() const { return problem_; }

 private:
  bool stop(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (open_.size() == static_cast<size_t>(limits_.max_depth)) {
      return stop(fmt::format("nesting deeper than the limit of {}", limits_.max_depth));
    }
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  json root_;
  std::vector<json*>
      open_;              // the containers being filled, outermost first; only the last one grows, so these stay valid
  json* slot_ = nullptr;  // where the value of the key just read belongs
  std::string problem_;
};

}  // namespace

Result<json> parse_json_object(std::string_view text, const JsonLimits& limits, std::string_view where) {
  if (text.size() > limits.max_bytes) {
    return fail(ErrorKind::kTooLarge, "{}: {} bytes of JSON, the limit is {}", where, text.size(), limits.max_bytes);
  }
  Builder builder(limits);
  if (!json::sax_parse(text, &builder)) {
    return fail(ErrorKind::kBadInput, "{}: expected JSON, file holds {}", where, builder.problem());
  }
  if (!builder.value().is_object()) {
    return fail(ErrorKind::kBadInput, "{}: expected a JSON object, file holds {}", where, builder.value().type_name());
  }
  return std::move(builder.value());
}

}  // namespace retort
