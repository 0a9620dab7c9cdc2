#include "formats/mapped_tensors.h"

#include <functional>

namespace retort {

Status MappedTensors::add(std::vector<TensorView> tensors, std::string_view where) {
  for (TensorView& tensor : tensors) {
    if (!index_.emplace(tensor.name, tensors_.size()).second) {
      return fail(ErrorKind::kBadInput, "{}: tensor {}: expected once, an earlier file holds it too", where,
                  printable(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
  return {};
}

const TensorView* MappedTensors::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void MappedTensors::release(const TensorView& tensor) const {
  const std::less_equal<const std::byte*> not_after;
  for (const MappedFile& file : files_) {
    const auto bytes = file.bytes();
    if (not_after(bytes.data(), tensor.data.data()) &&
        not_after(tensor.data.data() + tensor.data.size(), bytes.data() + bytes.size())) {
      file.release(tensor.data);
    }
  }
}

std::string printable(std::string_view name) {
  constexpr size_t kMaxShown = 100;
  std::string shown;
  for (const char c : name.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += c;
    }
  }
  if (name.size() > kMaxShown) shown += "…";
  return shown;
}

}  // namespace retort
