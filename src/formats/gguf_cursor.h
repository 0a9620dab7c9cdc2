// Reading forward through a GGUF file's bytes, with every length held against what is left. Internal to formats/.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/gguf.h"

namespace retort {

static_assert(std::endian::native == std::endian::little, "GGUF's numbers are read as they lie in the file");

// Reads forward through the bytes; knows what it is reading so that errors can name it.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  void enter(std::string context) { context_ = std::move(context); }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <class... Args>
  tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) const {
    return retort::fail(kind, "[gguf] {}: {}: {}", file_, context_, fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  Result<T> number() {
    RETORT_TRY(need(sizeof(T), "bytes"));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::string_view> string(uint64_t max_bytes) {
    RETORT_ASSIGN(const auto length, number<uint64_t>());
    if (length > max_bytes) return fail(ErrorKind::kTooLarge, "string of {} bytes, the limit is {}", length, max_bytes);
    RETORT_TRY(need(length, "bytes of string"));
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + position_), length);
    position_ += length;
    return text;
  }

  // Fails unless `count` things of at least `min_bytes` each can follow.
  Status need_items(uint64_t count, uint64_t min_bytes) const {
    if (count > remaining() / min_bytes) {
      return fail(ErrorKind::kBadInput, "expected {} items of at least {} bytes, file holds {} more bytes", count,
                  min_bytes, remaining());
    }
    return {};
  }

  // The next `count` bytes, which need_items() has allowed.
  std::span<const std::byte> take(size_t count) {
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

 private:
  Status need(uint64_t count, std::string_view unit) const {
    if (count > remaining()) {
      return fail(ErrorKind::kBadInput, "expected {} {} at offset {}, file holds {} more bytes", count, unit, position_,
                  remaining());
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  std::string_view file_;
  std::string context_ = "header";
};

// Metadata: a value with its type before it.
Result<GgufValue> read_gguf_value(GgufCursor& cursor);

}  // namespace retort
