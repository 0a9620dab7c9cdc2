// The metadata values of GGUF: thirteen types, arrays of each, arrays of arrays.
#include <memory>
#include <vector>

#include "formats/gguf_cursor.h"

namespace retort {
namespace {

constexpr int kMaxArrayDepth = 4;
// The fewest bytes each takes in a file: what a count is held against before memory is set aside for it.
constexpr uint64_t kMinStringBytes = 8;
constexpr uint64_t kMinArrayBytes = 4 + 8;

template <class T>
Result<std::vector<T>> read_numbers(GgufCursor& cursor, uint64_t count) {
  RETORT_TRY(cursor.need_items(count, sizeof(T)));
  std::vector<T> items(count);
  const auto raw = cursor.take(count * sizeof(T));
  if (count > 0) std::memcpy(items.data(), raw.data(), raw.size());
  return items;
}

Result<bool> read_bool(GgufCursor& cursor) {
  RETORT_ASSIGN(const auto byte, cursor.number<uint8_t>());
  if (byte > 1) return cursor.fail(ErrorKind::kBadInput, "expected a bool of 0 or 1, file holds {}", byte);
  return byte == 1;
}

Result<std::vector<bool>> read_bools(GgufCursor& cursor, uint64_t count) {
  RETORT_TRY(cursor.need_items(count, 1));
  std::vector<bool> items(count);
  for (uint64_t i = 0; i < count; ++i) {
    RETORT_ASSIGN(items[i], read_bool(cursor));
  }
  return items;
}

Result<std::vector<std::string>> read_strings(GgufCursor& cursor, uint64_t count) {
  RETORT_TRY(cursor.need_items(count, kMinStringBytes));
  std::vector<std::string> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    RETORT_ASSIGN(const auto text, cursor.string(cursor.remaining()));
    items.emplace_back(text);
  }
  return items;
}

Result<std::shared_ptr<const GgufArray>> read_array(GgufCursor& cursor, int depth);

Result<std::vector<std::shared_ptr<const GgufArray>>> read_arrays(GgufCursor& cursor, uint64_t count, int depth) {
  RETORT_TRY(cursor.need_items(count, kMinArrayBytes));
  std::vector<std::shared_ptr<const GgufArray>> items(count);
  for (auto& item : items) {
    RETORT_ASSIGN(item, read_array(cursor, depth + 1));
  }
  return items;
}

// Wraps what one of the readers above gave into the variant that holds any of them.
template <class Variant, class T>
Result<Variant> wrap(Result<T> value) {
  if (!value) return tl::unexpected<Error>(std::move(value).error());
  return Variant(std::move(value).value());
}

using ArrayItems = decltype(GgufArray::items);

Result<ArrayItems> read_items(GgufCursor& cursor, uint32_t type, uint64_t count, int depth) {
  switch (static_cast<GgufType>(type)) {
    case GgufType::kUint8:
      return wrap<ArrayItems>(read_numbers<uint8_t>(cursor, count));
    case GgufType::kInt8:
      return wrap<ArrayItems>(read_numbers<int8_t>(cursor, count));
    case GgufType::kUint16:
      return wrap<ArrayItems>(read_numbers<uint16_t>(cursor, count));
    case GgufType::kInt16:
      return wrap<ArrayItems>(read_numbers<int16_t>(cursor, count));
    case GgufType::kUint32:
      return wrap<ArrayItems>(read_numbers<uint32_t>(cursor, count));
    case GgufType::kInt32:
      return wrap<ArrayItems>(read_numbers<int32_t>(cursor, count));
    case GgufType::kFloat32:
      return wrap<ArrayItems>(read_numbers<float>(cursor, count));
    case GgufType::kBool:
      return wrap<ArrayItems>(read_bools(cursor, count));
    case GgufType::kString:
      return wrap<ArrayItems>(read_strings(cursor, count));
    case GgufType::kArray:
      return wrap<ArrayItems>(read_arrays(cursor, count, depth));
    case GgufType::kUint64:
      return wrap<ArrayItems>(read_numbers<uint64_t>(cursor, count));
    case GgufType::kInt64:
      return wrap<ArrayItems>(read_numbers<int64_t>(cursor, count));
    case GgufType::kFloat64:
      return wrap<ArrayItems>(read_numbers<double>(cursor, count));
  }
  return cursor.fail(ErrorKind::kBadInput, "array of value type {}, expected 0 to 12", type);
}

Result<std::shared_ptr<const GgufArray>> read_array(GgufCursor& cursor, int depth) {
  if (depth > kMaxArrayDepth) {
    return cursor.fail(ErrorKind::kTooLarge, "arrays nested deeper than the limit of {}", kMaxArrayDepth);
  }
  RETORT_ASSIGN(const auto type, cursor.number<uint32_t>());
  RETORT_ASSIGN(const auto count, cursor.number<uint64_t>());
  RETORT_ASSIGN(auto items, read_items(cursor, type, count, depth));
  return std::make_shared<const GgufArray>(GgufArray{std::move(items)});
}

Result<std::string> read_string(GgufCursor& cursor) {
  RETORT_ASSIGN(const auto text, cursor.string(cursor.remaining()));
  return std::string(text);
}

}  // namespace

Result<GgufValue> read_gguf_value(GgufCursor& cursor) {
  RETORT_ASSIGN(const auto type, cursor.number<uint32_t>());
  switch (static_cast<GgufType>(type)) {
    case GgufType::kUint8:
      return wrap<GgufValue>(cursor.number<uint8_t>());
    case GgufType::kInt8:
      return wrap<GgufValue>(cursor.number<int8_t>());
    case GgufType::kUint16:
      return wrap<GgufValue>(cursor.number<uint16_t>());
    case GgufType::kInt16:
      return wrap<GgufValue>(cursor.number<int16_t>());
    case GgufType::kUint32:
      return wrap<GgufValue>(cursor.number<uint32_t>());
    case GgufType::kInt32:
      return wrap<GgufValue>(cursor.number<int32_t>());
    case GgufType::kFloat32:
      return wrap<GgufValue>(cursor.number<float>());
    case GgufType::kBool:
      return wrap<GgufValue>(read_bool(cursor));
    case GgufType::kString:
      return wrap<GgufValue>(read_string(cursor));
    case GgufType::kArray:
      return wrap<GgufValue>(read_array(cursor, 1));
    case GgufType::kUint64:
      return wrap<GgufValue>(cursor.number<uint64_t>());
    case GgufType::kInt64:
      return wrap<GgufValue>(cursor.number<int64_t>());
    case GgufType::kFloat64:
      return wrap<GgufValue>(cursor.number<double>());
  }
  return cursor.fail(ErrorKind::kBadInput, "value type {}, expected 0 to 12", type);
}

}  // namespace retort
