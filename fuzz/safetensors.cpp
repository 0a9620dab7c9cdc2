// Any bytes as a safetensors file, and as the header of one that is right otherwise: most changes to a whole file break
// the length before the header, and would never reach what reads it.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "formats/codecs.h"
#include "formats/hf_folder.h"

namespace {

using namespace retort;

volatile float sink;  // keeps the compiler from dropping the reads

void read(std::span<const uint8_t> bytes) {
  const auto tensors = parse_safetensors(std::as_bytes(bytes), "fuzz");
  if (!tensors) return;
  for (const TensorView& tensor : *tensors) {
    std::vector<float> floats(tensor.num_elements());
    dequantize(tensor.type, tensor.data, floats);
    if (!floats.empty()) sink = floats.front();
  }
}

std::vector<uint8_t> with_header(std::span<const uint8_t> header) {
  constexpr size_t kDataBytes = 42;  // as the tensors of corpus/safetensors/golden.safetensors have
  const uint64_t header_size = header.size();
  std::vector<uint8_t> bytes(sizeof(header_size) + header.size() + kDataBytes);
  std::memcpy(bytes.data(), &header_size, sizeof(header_size));
  if (!header.empty()) std::memcpy(bytes.data() + sizeof(header_size), header.data(), header.size());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read({data, size});
  read(with_header({data, size}));
  return 0;
}
