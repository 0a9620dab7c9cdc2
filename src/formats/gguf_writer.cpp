#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <type_traits>

#include "formats/gguf.h"

namespace retort {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersion = 3;
constexpr uint32_t kDefaultAlignment = 32;

// Appends values to the file's bytes. The overloads are what std::visit picks from; each writes no type in front.
class Buffer {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  void put(bool value) { put(static_cast<uint8_t>(value)); }
  void put(const std::string& text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  void put(const std::shared_ptr<const GgufArray>& array) {
    put(static_cast<uint32_t>(array->items.index()));
    std::visit(
        [this](const auto& items) {
          put(static_cast<uint64_t>(items.size()));
          for (const auto& item : items) put(static_cast<typename std::decay_t<decltype(items)>::value_type>(item));
        },
        array->items);
  }
  void put_value(const GgufValue& value) {
    put(static_cast<uint32_t>(value.index()));
    std::visit([this](const auto& held) { put(held); }, value);
  }
  void put_raw(std::string_view raw) { bytes_ += raw; }
  void pad_to(uint64_t alignment) { bytes_.resize(align_up(bytes_.size(), alignment), '\0'); }

  const std::string& bytes() const { return bytes_; }

  static uint64_t align_up(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

 private:
  std::string bytes_;
};

uint64_t bytes_of_shape(const TensorView& tensor) {
  const TensorTypeInfo& info = info_of(tensor.type);
  return tensor.num_elements() / info.block_elements * info.block_bytes;
}

// The writer refuses what the reader would.
Status check_tensors(const std::vector<TensorView>& tensors) {
  std::set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return fail(ErrorKind::kBadInput, "[gguf] tensor {}: expected once, added twice", tensor.name);
    }
    if (tensor.shape.empty() || tensor.shape.size() > 4 || tensor.num_elements() == 0) {
      return fail(ErrorKind::kBadInput, "[gguf] tensor {}: expected 1 to 4 dimensions above 0, given [{}]", tensor.name,
                  fmt::join(tensor.shape, ", "));
    }
    const TensorTypeInfo& info = info_of(tensor.type);
    if (tensor.shape.back() % info.block_elements != 0) {
      return fail(ErrorKind::kBadInput, "[gguf] tensor {}: expected rows of whole {} blocks of {} elements, given {}",
                  tensor.name, info.name, info.block_elements, tensor.shape.back());
    }
    if (tensor.data.size() != bytes_of_shape(tensor)) {
      return fail(ErrorKind::kBadInput, "[gguf] tensor {}: expected {} bytes of data, given {}", tensor.name,
                  bytes_of_shape(tensor), tensor.data.size());
    }
  }
  return {};
}

void put_tensor_headers(Buffer& header, const std::vector<TensorView>& tensors, uint64_t alignment) {
  uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    header.put(tensor.name);
    header.put(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) header.put(tensor.shape[i]);
    header.put(static_cast<uint32_t>(tensor.type));
    header.put(offset);
    offset = Buffer::align_up(offset + tensor.data.size(), alignment);
  }
}

}  // namespace

void GgufWriter::set(std::string key, GgufValue value) {
  for (auto& [held_key, held_value] : metadata_) {
    if (held_key == key) {
      held_value = std::move(value);
      return;
    }
  }
  metadata_.emplace_back(std::move(key), std::move(value));
}

void GgufWriter::set_strings(std::string key, std::vector<std::string> values) {
  set(std::move(key), std::make_shared<const GgufArray>(GgufArray{std::move(values)}));
}

void GgufWriter::add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape,
                            std::span<const std::byte> data) {
  tensors_.push_back({std::move(name), type, std::move(shape), data});
}

Status GgufWriter::write(const std::filesystem::path& path) const {
  RETORT_TRY(check_tensors(tensors_));
  uint64_t alignment = kDefaultAlignment;
  Buffer header;
  header.put_raw(kMagic);
  header.put(kVersion);
  header.put(static_cast<uint64_t>(tensors_.size()));
  header.put(static_cast<uint64_t>(metadata_.size()));
  for (const auto& [key, value] : metadata_) {
    if (key == "general.alignment") {
      const auto* wanted = std::get_if<uint32_t>(&value);
      if (wanted == nullptr || *wanted < 8 || !std::has_single_bit(*wanted)) {
        return fail(ErrorKind::kBadInput, "[gguf] key {}: expected a power of two of at least 8, as uint32", key);
      }
      alignment = *wanted;
    }
    header.put(key);
    header.put_value(value);
  }
  put_tensor_headers(header, tensors_, alignment);
  header.pad_to(alignment);

  // Under another name until it is whole: nobody opens half a file.
  const std::filesystem::path unfinished = path.string() + ".part";
  std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
  out.write(header.bytes().data(), static_cast<std::streamsize>(header.bytes().size()));
  const std::string padding(alignment, '\0');
  for (const TensorView& tensor : tensors_) {
    const uint64_t size = tensor.data.size();
    out.write(reinterpret_cast<const char*>(tensor.data.data()), static_cast<std::streamsize>(size));
    out.write(padding.data(), static_cast<std::streamsize>(Buffer::align_up(size, alignment) - size));
  }
  out.close();
  std::error_code error;
  if (!out) {
    const int cause = errno;
    std::filesystem::remove(unfinished, error);
    return fail(ErrorKind::kIo, "[gguf] {}: cannot write: {}", unfinished.string(), std::strerror(cause));
  }
  std::filesystem::rename(unfinished, path, error);
  if (error) {
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    return fail(ErrorKind::kIo, "[gguf] {}: cannot rename to it: {}", path.string(), error.message());
  }
  return {};
}

}  // namespace retort
