// The tensors of one model with the mapped files they lie in. What GGUF and Hugging Face folders have in common.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "formats/tensor_type.h"

namespace retort {

class MappedTensors {
 public:
  // Refuses a name it already has. `where` begins the error, as in "[gguf] model-00002-of-00003.gguf".
  Status add(std::vector<TensorView> tensors, std::string_view where);
  // Keeps a file mapped for as long as this lives: the tensors added may point into it.
  void hold(MappedFile file) { files_.push_back(std::move(file)); }

  const std::vector<TensorView>& all() const { return tensors_; }
  const TensorView* find(std::string_view name) const;  // null when absent
  void release(const TensorView& tensor) const;         // its pages need not stay in memory

 private:
  std::vector<MappedFile> files_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

// A name out of a file as it may stand in a message: cut when long, control bytes escaped.
std::string printable(std::string_view name);

}  // namespace retort
