#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/hf_folder.h"
#include "formats/json.h"

namespace retort {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors' numbers are read as they lie in the file");

using nlohmann::json;

// The header is text of some 100 bytes a tensor; this is room for a quarter of a million.
constexpr JsonLimits kHeaderLimits = {.max_bytes = 32 << 20, .max_depth = 4, .refuse_duplicate_keys = true};
constexpr size_t kMaxDimensions = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

struct Entry {
  TensorView view;
  uint64_t begin = 0;  // from the start of the data, as is end
  uint64_t end = 0;
};

// One tensor's header, with the names that its errors begin with.
class EntryReader {
 public:
  EntryReader(std::string_view file, const std::string& tensor, const json& header)
      : where_(fmt::format("[safetensors] {}: tensor {}", file, printable(tensor))), tensor_(tensor), header_(header) {}

  Result<Entry> read(uint64_t data_size) const {
    if (!header_.is_object()) {
      return fail(ErrorKind::kBadInput, "{}: expected an object, file holds {}", where_, header_.type_name());
    }
    Entry entry;
    entry.view.name = tensor_;
    RETORT_ASSIGN(entry.view.type, dtype());
    RETORT_ASSIGN(entry.view.shape, numbers("shape", kMaxDimensions));
    RETORT_ASSIGN(const auto offsets, numbers("data_offsets", 2));
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size) {
      return fail(ErrorKind::kBadInput, "{}: expected data_offsets of begin and end within {} bytes, file holds [{}]",
                  where_, data_size, fmt::join(offsets, ", "));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    RETORT_TRY(check_size(entry));
    return entry;
  }

 private:
  Result<const json*> member(const char* key) const {
    const auto found = header_.find(key);
    if (found == header_.end()) return fail(ErrorKind::kBadInput, "{}: expected {}, file has none", where_, key);
    return &*found;
  }

  Result<TensorType> dtype() const {
    RETORT_ASSIGN(const json* value, member("dtype"));
    if (*value == "F32") return TensorType::kF32;
    if (*value == "F16") return TensorType::kF16;
    if (*value == "BF16") return TensorType::kBF16;
    if (!value->is_string()) return fail(ErrorKind::kBadInput, "{}: expected dtype as a string", where_);
    return fail(ErrorKind::kUnsupported, "{}: dtype {}; supported are F32 F16 BF16", where_,
                printable(value->get_ref<const std::string&>()));
  }

  Result<std::vector<uint64_t>> numbers(const char* key, size_t max_count) const {
    RETORT_ASSIGN(const json* value, member(key));
    const bool fits = value->is_array() && value->size() <= max_count &&
                      std::ranges::all_of(*value, [](const json& item) { return item.is_number_unsigned(); });
    if (!fits) {
      return fail(ErrorKind::kBadInput, "{}: expected {} as an array of at most {} integers from 0", where_, key,
                  max_count);
    }
    return value->get<std::vector<uint64_t>>();
  }

  Status check_size(const Entry& entry) const {
    const std::vector<uint64_t>& shape = entry.view.shape;
    uint64_t num_bytes = info_of(entry.view.type).block_bytes;
    bool overflow = false;
    for (const uint64_t dimension : shape) overflow |= __builtin_mul_overflow(num_bytes, dimension, &num_bytes);
    if (overflow) {
      return fail(ErrorKind::kBadInput, "{}: shape [{}] has more bytes than fit 64 bits", where_,
                  fmt::join(shape, ", "));
    }
    if (num_bytes != entry.end - entry.begin) {
      return fail(ErrorKind::kBadInput, "{}: expected {} bytes for shape [{}], file holds {}", where_, num_bytes,
                  fmt::join(shape, ", "), entry.end - entry.begin);
    }
    return {};
  }

  std::string where_;
  const std::string& tensor_;
  const json& header_;
};

// The format promises that the tensors, one after another, are all of the data: none overlap, nothing is hidden
// between.
Status check_cover(const std::vector<Entry>& by_offset, uint64_t data_size, std::string_view name) {
  uint64_t end_of_last = 0;
  for (const Entry& entry : by_offset) {
    if (entry.begin != end_of_last) {
      return fail(ErrorKind::kBadInput,
                  "[safetensors] {}: tensor {}: expected its data where the last ends, at {}, file holds {}", name,
                  printable(entry.view.name), end_of_last, entry.begin);
    }
    end_of_last = entry.end;
  }
  if (end_of_last != data_size) {
    return fail(ErrorKind::kBadInput, "[safetensors] {}: expected {} bytes of data, file holds {}", name, end_of_last,
                data_size);
  }
  return {};
}

}  // namespace

Result<std::vector<TensorView>> parse_safetensors(std::span<const std::byte> bytes, std::string_view name) {
  uint64_t header_size = 0;
  if (bytes.size() < sizeof(header_size)) {
    return fail(ErrorKind::kBadInput, "[safetensors] {}: expected 8 bytes of header size, file holds {}", name,
                bytes.size());
  }
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  const auto rest = bytes.subspan(sizeof(header_size));
  if (header_size > rest.size()) {
    return fail(ErrorKind::kBadInput, "[safetensors] {}: expected {} bytes of header, file holds {}", name, header_size,
                rest.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), header_size);
  const auto data = rest.subspan(header_size);
  RETORT_ASSIGN(const json header, parse_json_object(text, kHeaderLimits, fmt::format("[safetensors] {}", name)));

  std::vector<Entry> entries;
  for (const auto& [tensor, value] : header.items()) {
    if (tensor == kMetadataKey) continue;
    RETORT_ASSIGN(auto entry, EntryReader(name, tensor, value).read(data.size()));
    entry.view.data = data.subspan(entry.begin, entry.end - entry.begin);
    entries.push_back(std::move(entry));
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  RETORT_TRY(check_cover(entries, data.size(), name));

  std::vector<TensorView> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) tensors.push_back(std::move(entry.view));
  return tensors;
}

}  // namespace retort
