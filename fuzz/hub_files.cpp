// A hub's list of files, and the choice among them: whatever a hub sends, no chosen path leaves its folder.
#include <cstddef>
#include <cstdint>

#include "cli/hub/choose_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& files : {retort::parse_huggingface_tree(text), retort::parse_modelscope_files(text)}) {
    if (!files) continue;
    const auto chosen = retort::choose_files(*files, "Q4_K_M");
    if (!chosen) continue;
    for (const auto& file : chosen->files) RETORT_CHECK(retort::is_safe_path(file.path));
  }
  return 0;
}
