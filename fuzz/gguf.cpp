// Any bytes as a GGUF file: parse, look every key up as every type, dequantise the tensors that are found.
#include <cstdint>
#include <span>
#include <vector>

#include "formats/codecs.h"
#include "formats/gguf.h"

namespace {

using namespace retort;

volatile float sink;  // keeps the compiler from dropping the reads

void look_up_all(const Gguf& file) {
  for (const auto& [key, value] : file.metadata()) {
    (void)type_name_of(value);
    (void)file.get_uint(key);
    (void)file.get_int(key);
    (void)file.get_float(key);
    (void)file.get_bool(key);
    (void)file.get_string(key);
    (void)file.get_strings(key);
    (void)file.get_ints(key);
    (void)file.get_floats(key);
  }
}

void dequantize_all(const Gguf& file) {
  for (const TensorView& tensor : file.tensors()) {
    if (file.find_tensor(tensor.name) != &tensor) __builtin_trap();
    std::vector<float> floats(tensor.num_elements());
    dequantize(tensor.type, tensor.data, floats);
    sink = floats.front();
    file.release(tensor);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = Gguf::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) return 0;
  look_up_all(*file);
  dequantize_all(*file);
  return 0;
}
