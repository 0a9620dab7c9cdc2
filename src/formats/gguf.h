// GGUF v2 and v3 files (specification: ggml docs/gguf.md), memory-mapped. Every offset, count and length is checked
// against the file before use; a lying file is an error that names the key or tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "formats/mapped_tensors.h"
#include "formats/tensor_type.h"

namespace retort {

// Types of metadata values, numbered as the file numbers them.
enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

struct GgufArray;
// Strings and string arrays are copied out of the file; the rest is small. index() is the value's GgufType.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string,
                               std::shared_ptr<const GgufArray>, uint64_t, int64_t, double>;
struct GgufArray {
  // index() is the GgufType of the items.
  std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
               std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
               std::vector<std::string>, std::vector<std::shared_ptr<const GgufArray>>, std::vector<uint64_t>,
               std::vector<int64_t>, std::vector<double>>
      items;
};

// "uint32", "array of string": a value's type as messages call it.
std::string type_name_of(const GgufValue& value);

class Gguf {
 public:
  // Opens a file, or all parts of a split one when given its first ("name-00001-of-00003.gguf").
  static Result<Gguf> open(const std::filesystem::path& path);
  // The same parser over bytes already in memory (tests, fuzzing). `bytes` must outlive the object.
  static Result<Gguf> parse(std::span<const std::byte> bytes, std::string_view name);

  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<TensorView>& tensors() const { return tensors_.all(); }
  const TensorView* find_tensor(std::string_view name) const { return tensors_.find(name); }  // null when absent
  uint64_t file_bytes() const { return num_bytes_; }                                          // of all parts

  // Typed look-ups. A missing key or another type is an error naming the key, what was expected and what is there.
  Result<uint64_t> get_uint(std::string_view key) const;  // any integer type, if not negative
  Result<int64_t> get_int(std::string_view key) const;    // any integer type
  Result<double> get_float(std::string_view key) const;   // f32 or f64
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  Result<std::vector<std::string>> get_strings(std::string_view key) const;
  Result<std::vector<int64_t>> get_ints(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;
  bool has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }

  // After a tensor has been copied or packed its file pages need not stay in memory.
  void release(const TensorView& tensor) const { tensors_.release(tensor); }

 private:
  Status add_parts(const std::filesystem::path& first);
  Result<const GgufValue*> find_key(std::string_view key, std::string_view expected) const;
  tl::unexpected<Error> wrong_type(std::string_view key, std::string_view expected, const GgufValue& value) const;

  std::string name_;  // how messages call the file
  uint32_t version_ = 0;
  uint64_t num_bytes_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  MappedTensors tensors_;
};

// Writes a GGUF v3 file: metadata first, then each tensor aligned to general.alignment (32 unless set).
class GgufWriter {
 public:
  void set(std::string key, GgufValue value);  // replaces what the key held
  void set_strings(std::string key, std::vector<std::string> values);
  // `shape` outermost first. `data` must stay valid until write().
  void add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape, std::span<const std::byte> data);
  // The file appears under its name only when it is whole. Errors: kIo, and kBadInput for what the reader would refuse.
  Status write(const std::filesystem::path& path) const;

 private:
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<TensorView> tensors_;
};

}  // namespace retort
