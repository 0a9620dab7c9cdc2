#include "formats/gguf.h"

#include <array>
#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include "formats/gguf_parser.h"

namespace retort {
namespace {

// "model-00001-of-00003.gguf" ends so; the part before it is common to all.
std::string part_suffix(uint64_t part_idx, uint64_t num_parts) {
  return fmt::format("-{:05}-of-{:05}.gguf", part_idx + 1, num_parts);
}

template <class T>
constexpr bool kIsInteger = std::integral<T> && !std::same_as<T, bool>;

constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kTypeNames = {
    "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
    "bool",  "string", "array",  "uint64", "int64",  "float64"};

template <class T>
std::optional<int64_t> to_int64(T number) {
  if (!std::in_range<int64_t>(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

std::string type_name_of(const GgufValue& value) {
  const std::string_view name = kTypeNames[value.index()];
  const auto* array = std::get_if<std::shared_ptr<const GgufArray>>(&value);
  return array == nullptr ? std::string(name) : fmt::format("array of {}", kTypeNames[(*array)->items.index()]);
}

Result<Gguf> Gguf::open(const std::filesystem::path& path) {
  RETORT_ASSIGN(auto file, MappedFile::open(path));
  RETORT_ASSIGN(auto gguf, parse(file.bytes(), path.filename().string()));
  gguf.tensors_.hold(std::move(file));
  RETORT_TRY(gguf.add_parts(path));
  return gguf;
}

Result<Gguf> Gguf::parse(std::span<const std::byte> bytes, std::string_view name) {
  RETORT_ASSIGN(auto part, parse_gguf(bytes, name));
  Gguf gguf;
  gguf.name_ = name;
  gguf.version_ = part.version;
  gguf.num_bytes_ = bytes.size();
  gguf.metadata_ = std::move(part.metadata);
  RETORT_TRY(gguf.tensors_.add(std::move(part.tensors), fmt::format("[gguf] {}", name)));
  return gguf;
}

// The other files of a split model: they hold tensors, and of metadata only what tells that they belong here.
Status Gguf::add_parts(const std::filesystem::path& first) {
  if (!has("split.count")) return {};
  RETORT_ASSIGN(const auto num_parts, get_uint("split.count"));
  if (num_parts <= 1) return {};
  RETORT_ASSIGN(const auto part_idx, get_uint("split.no"));
  const std::string first_name = first.filename().string();
  const std::string first_suffix = part_suffix(0, num_parts);
  if (part_idx != 0 || !first_name.ends_with(first_suffix)) {
    return fail(ErrorKind::kBadInput, "[gguf] {}: part {} of {}; open the first, by a name that ends with {}",
                first_name, part_idx + 1, num_parts, first_suffix);
  }
  const std::string stem = first_name.substr(0, first_name.size() - first_suffix.size());
  for (uint64_t i = 1; i < num_parts; ++i) {
    const std::string part_name = stem + part_suffix(i, num_parts);
    RETORT_ASSIGN(auto file, MappedFile::open(first.parent_path() / part_name));
    RETORT_ASSIGN(auto part, parse(file.bytes(), part_name));
    RETORT_ASSIGN(const auto no, part.get_uint("split.no"));
    RETORT_ASSIGN(const auto count, part.get_uint("split.count"));
    if (no != i || count != num_parts) {
      return fail(ErrorKind::kBadInput, "[gguf] {}: expected split.no {} of {}, file holds {} of {}", part_name, i,
                  num_parts, no, count);
    }
    num_bytes_ += file.bytes().size();
    RETORT_TRY(tensors_.add(part.tensors(), fmt::format("[gguf] {}", part_name)));
    tensors_.hold(std::move(file));
  }
  if (!has("split.tensors.count")) return {};
  RETORT_ASSIGN(const auto num_tensors, get_uint("split.tensors.count"));
  if (num_tensors != tensors().size()) {
    return fail(ErrorKind::kBadInput, "[gguf] {}: expected {} tensors in {} parts, files hold {}", name_, num_tensors,
                num_parts, tensors().size());
  }
  return {};
}

Result<const GgufValue*> Gguf::find_key(std::string_view key, std::string_view expected) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) {
    return fail(ErrorKind::kBadInput, "[gguf] {}: key {}: expected {}, file has no such key", name_, key, expected);
  }
  return &found->second;
}

tl::unexpected<Error> Gguf::wrong_type(std::string_view key, std::string_view expected, const GgufValue& value) const {
  return fail(ErrorKind::kBadInput, "[gguf] {}: key {}: expected {}, file holds {}", name_, key, expected,
              type_name_of(value));
}

Result<uint64_t> Gguf::get_uint(std::string_view key) const {
  constexpr std::string_view kExpected = "an integer from 0";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  return std::visit(
      [&](const auto& held) -> Result<uint64_t> {
        if constexpr (kIsInteger<std::decay_t<decltype(held)>>) {
          if (std::in_range<uint64_t>(held)) return static_cast<uint64_t>(held);
          return fail(ErrorKind::kBadInput, "[gguf] {}: key {}: expected {}, file holds {}", name_, key, kExpected,
                      held);
        } else {
          return wrong_type(key, kExpected, *value);
        }
      },
      *value);
}

Result<int64_t> Gguf::get_int(std::string_view key) const {
  constexpr std::string_view kExpected = "an integer";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  return std::visit(
      [&](const auto& held) -> Result<int64_t> {
        if constexpr (kIsInteger<std::decay_t<decltype(held)>>) {
          if (const auto number = to_int64(held)) return *number;
          return fail(ErrorKind::kBadInput, "[gguf] {}: key {}: expected {}, file holds {}", name_, key, kExpected,
                      held);
        } else {
          return wrong_type(key, kExpected, *value);
        }
      },
      *value);
}

Result<double> Gguf::get_float(std::string_view key) const {
  constexpr std::string_view kExpected = "float32 or float64";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  if (const auto* single = std::get_if<float>(value)) return *single;
  if (const auto* real = std::get_if<double>(value)) return *real;
  return wrong_type(key, kExpected, *value);
}

Result<bool> Gguf::get_bool(std::string_view key) const {
  RETORT_ASSIGN(const GgufValue* value, find_key(key, "bool"));
  if (const auto* held = std::get_if<bool>(value)) return *held;
  return wrong_type(key, "bool", *value);
}

Result<std::string> Gguf::get_string(std::string_view key) const {
  RETORT_ASSIGN(const GgufValue* value, find_key(key, "string"));
  if (const auto* held = std::get_if<std::string>(value)) return *held;
  return wrong_type(key, "string", *value);
}

Result<std::vector<std::string>> Gguf::get_strings(std::string_view key) const {
  constexpr std::string_view kExpected = "array of string";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  if (const auto* array = std::get_if<std::shared_ptr<const GgufArray>>(value)) {
    if (const auto* held = std::get_if<std::vector<std::string>>(&(*array)->items)) return *held;
  }
  return wrong_type(key, kExpected, *value);
}

Result<std::vector<int64_t>> Gguf::get_ints(std::string_view key) const {
  constexpr std::string_view kExpected = "array of integers";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  const auto* array = std::get_if<std::shared_ptr<const GgufArray>>(value);
  if (array == nullptr) return wrong_type(key, kExpected, *value);
  return std::visit(
      [&](const auto& items) -> Result<std::vector<int64_t>> {
        if constexpr (kIsInteger<typename std::decay_t<decltype(items)>::value_type>) {
          std::vector<int64_t> numbers;
          numbers.reserve(items.size());
          for (const auto item : items) {
            const auto number = to_int64(item);
            if (!number)
              return fail(ErrorKind::kBadInput, "[gguf] {}: key {}: {} is above 64 bits with sign", name_, key, item);
            numbers.push_back(*number);
          }
          return numbers;
        } else {
          return wrong_type(key, kExpected, *value);
        }
      },
      (*array)->items);
}

Result<std::vector<float>> Gguf::get_floats(std::string_view key) const {
  constexpr std::string_view kExpected = "array of float32";
  RETORT_ASSIGN(const GgufValue* value, find_key(key, kExpected));
  if (const auto* array = std::get_if<std::shared_ptr<const GgufArray>>(value)) {
    if (const auto* held = std::get_if<std::vector<float>>(&(*array)->items)) return *held;
  }
  return wrong_type(key, kExpected, *value);
}

}  // namespace retort
