#include "formats/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "formats/gguf_cursor.h"
#include "formats/mapped_tensors.h"

namespace retort {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
// Far above any model there is; they bound the memory that a hostile file can make us spend on headers.
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 18;
constexpr uint64_t kMaxNameBytes = 65535;
constexpr int kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;

// The fewest bytes each thing takes in a file: what a count is held against before memory is set aside for it.
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

Status read_metadata(GgufCursor& cursor, uint64_t count, GgufPart& part) {
  for (uint64_t i = 0; i < count; ++i) {
    cursor.enter(fmt::format("key {} of {}", i + 1, count));
    RETORT_ASSIGN(const auto key, cursor.string(kMaxNameBytes));
    cursor.enter("key " + printable(key));
    if (key.empty()) return cursor.fail(ErrorKind::kBadInput, "expected a name, file holds an empty one");
    RETORT_ASSIGN(auto value, read_gguf_value(cursor));
    if (!part.metadata.try_emplace(std::string(key), std::move(value)).second) {
      return cursor.fail(ErrorKind::kBadInput, "expected once, file holds it twice");
    }
  }
  return {};
}

Result<uint64_t> alignment_of(GgufCursor& cursor, const GgufPart& part) {
  const auto found = part.metadata.find("general.alignment");
  if (found == part.metadata.end()) return kDefaultAlignment;
  cursor.enter("key general.alignment");
  const auto* alignment = std::get_if<uint32_t>(&found->second);
  if (alignment == nullptr) {
    return cursor.fail(ErrorKind::kBadInput, "expected uint32, file holds {}", type_name_of(found->second));
  }
  if (*alignment < 8 || !std::has_single_bit(*alignment)) {
    return cursor.fail(ErrorKind::kBadInput, "expected a power of two of at least 8, file holds {}", *alignment);
  }
  return *alignment;
}

// A tensor as its header tells of it; the data comes when all headers are read.
struct TensorHeader {
  TensorView view;
  uint64_t offset = 0;  // from the start of the data section
  uint64_t num_bytes = 0;
};

Status read_shape(GgufCursor& cursor, TensorHeader& tensor) {
  RETORT_ASSIGN(const auto num_dimensions, cursor.number<uint32_t>());
  if (num_dimensions < 1 || num_dimensions > kMaxDimensions) {
    return cursor.fail(ErrorKind::kBadInput, "expected 1 to {} dimensions, file holds {}", kMaxDimensions,
                       num_dimensions);
  }
  std::vector<uint64_t>& shape = tensor.view.shape;
  shape.resize(num_dimensions);
  for (uint64_t& dimension : shape) {
    RETORT_ASSIGN(dimension, cursor.number<uint64_t>());
    if (dimension == 0) return cursor.fail(ErrorKind::kBadInput, "expected dimensions above 0, file holds 0");
  }
  std::ranges::reverse(shape);
  return {};
}

std::string supported_types() {
  std::string names;
  for (const auto& type : tensor_types()) {
    if (!names.empty()) names += ' ';
    names += type.name;
  }
  return names;
}

Status read_type(GgufCursor& cursor, TensorHeader& tensor) {
  RETORT_ASSIGN(const auto id, cursor.number<uint32_t>());
  const TensorTypeInfo* info = find_tensor_type(id);
  if (info == nullptr) {
    return cursor.fail(ErrorKind::kUnsupported, "tensor type {}; supported are {}", id, supported_types());
  }
  const std::vector<uint64_t>& shape = tensor.view.shape;
  if (shape.back() % info->block_elements != 0) {
    return cursor.fail(ErrorKind::kBadInput, "expected rows of whole {} blocks of {} elements, file holds rows of {}",
                       info->name, info->block_elements, shape.back());
  }
  // Bytes that fit the file hold a number of elements that fits 64 bits too.
  uint64_t num_bytes = info->block_bytes;
  bool overflow = __builtin_mul_overflow(num_bytes, shape.back() / info->block_elements, &num_bytes);
  for (size_t i = 0; i + 1 < shape.size(); ++i) overflow |= __builtin_mul_overflow(num_bytes, shape[i], &num_bytes);
  if (overflow) {
    return cursor.fail(ErrorKind::kBadInput, "shape [{}] has more bytes than fit 64 bits", fmt::join(shape, ", "));
  }
  tensor.view.type = info->type;
  tensor.num_bytes = num_bytes;
  return {};
}

Result<TensorHeader> read_tensor_header(GgufCursor& cursor, uint64_t alignment) {
  TensorHeader tensor;
  RETORT_ASSIGN(const auto name, cursor.string(kMaxNameBytes));
  cursor.enter("tensor " + printable(name));
  if (name.empty()) return cursor.fail(ErrorKind::kBadInput, "expected a name, file holds an empty one");
  tensor.view.name = name;
  RETORT_TRY(read_shape(cursor, tensor));
  RETORT_TRY(read_type(cursor, tensor));
  RETORT_ASSIGN(tensor.offset, cursor.number<uint64_t>());
  if (tensor.offset % alignment != 0) {
    return cursor.fail(ErrorKind::kBadInput, "expected an offset aligned to {}, file holds {}", alignment,
                       tensor.offset);
  }
  return tensor;
}

Result<std::vector<TensorHeader>> read_tensor_headers(GgufCursor& cursor, uint64_t count, uint64_t alignment) {
  std::vector<TensorHeader> tensors;
  std::unordered_set<std::string> names;
  cursor.enter("tensor list");
  RETORT_TRY(cursor.need_items(count, kMinTensorBytes));
  tensors.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    cursor.enter(fmt::format("tensor {} of {}", i + 1, count));
    RETORT_ASSIGN(auto tensor, read_tensor_header(cursor, alignment));
    if (!names.insert(tensor.view.name).second) {
      return cursor.fail(ErrorKind::kBadInput, "expected once, file holds it twice");
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// Gives each tensor its bytes, all inside the data section and none shared by two.
Status place_tensors(GgufCursor& cursor, std::vector<TensorHeader>& tensors, std::span<const std::byte> data) {
  for (TensorHeader& tensor : tensors) {
    if (tensor.offset > data.size() || tensor.num_bytes > data.size() - tensor.offset) {
      cursor.enter("tensor " + printable(tensor.view.name));
      return cursor.fail(ErrorKind::kBadInput,
                         "expected {} bytes at offset {} of the data, file holds {} bytes of data", tensor.num_bytes,
                         tensor.offset, data.size());
    }
    tensor.view.data = data.subspan(tensor.offset, tensor.num_bytes);
  }
  std::vector<const TensorHeader*> by_offset;
  by_offset.reserve(tensors.size());
  for (const TensorHeader& tensor : tensors) by_offset.push_back(&tensor);
  std::ranges::sort(by_offset, {}, &TensorHeader::offset);
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const uint64_t end_of_last = by_offset[i - 1]->offset + by_offset[i - 1]->num_bytes;
    if (by_offset[i]->offset < end_of_last) {
      cursor.enter("tensor " + printable(by_offset[i]->view.name));
      return cursor.fail(ErrorKind::kBadInput,
                         "expected its data after that of tensor {}, which ends at {}, file holds {}",
                         printable(by_offset[i - 1]->view.name), end_of_last, by_offset[i]->offset);
    }
  }
  return {};
}

struct Header {
  uint32_t version = 0;
  uint64_t num_tensors = 0;
  uint64_t num_keys = 0;
};

Result<Header> read_header(GgufCursor& cursor) {
  Header header;
  RETORT_ASSIGN(const auto magic, cursor.number<uint32_t>());
  if (magic != kMagic)
    return cursor.fail(ErrorKind::kBadInput, "expected the magic \"GGUF\", file holds {:#010x}", magic);
  RETORT_ASSIGN(header.version, cursor.number<uint32_t>());
  if (header.version != 2 && header.version != 3) {
    return cursor.fail(ErrorKind::kUnsupported, "expected little-endian version 2 or 3, file holds {}", header.version);
  }
  RETORT_ASSIGN(header.num_tensors, cursor.number<uint64_t>());
  RETORT_ASSIGN(header.num_keys, cursor.number<uint64_t>());
  if (header.num_tensors > kMaxTensors) {
    return cursor.fail(ErrorKind::kTooLarge, "{} tensors, the limit is {}", header.num_tensors, kMaxTensors);
  }
  if (header.num_keys > kMaxKeys) {
    return cursor.fail(ErrorKind::kTooLarge, "{} keys, the limit is {}", header.num_keys, kMaxKeys);
  }
  RETORT_TRY(cursor.need_items(header.num_keys, kMinKeyBytes));
  return header;
}

}  // namespace

Result<GgufPart> parse_gguf(std::span<const std::byte> bytes, std::string_view name) {
  GgufPart part;
  GgufCursor cursor(bytes, name);
  RETORT_ASSIGN(const auto header, read_header(cursor));
  part.version = header.version;
  RETORT_TRY(read_metadata(cursor, header.num_keys, part));
  RETORT_ASSIGN(const auto alignment, alignment_of(cursor, part));
  RETORT_ASSIGN(auto tensors, read_tensor_headers(cursor, header.num_tensors, alignment));

  // The data section begins at the next multiple of the alignment, even where the file ends before it (no tensors).
  const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
  const auto data = bytes.subspan(std::min<uint64_t>(data_begin, bytes.size()));
  RETORT_TRY(place_tensors(cursor, tensors, data));
  part.tensors.reserve(tensors.size());
  for (TensorHeader& tensor : tensors) part.tensors.push_back(std::move(tensor.view));
  return part;
}

}  // namespace retort
