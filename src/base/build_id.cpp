#include "base/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace retort {
namespace {

// notes: a segment of them (ELF specification, "Note Section"): headers, each before a name and what it says, both
// filled up to the segment's alignment.
std::string find_build_id(std::span<const std::byte> notes, size_t alignment) {
  const auto filled = [&](size_t size) { return (size + alignment - 1) / alignment * alignment; };
  ElfW(Nhdr) note;
  while (notes.size() >= sizeof(note)) {
    std::memcpy(&note, notes.data(), sizeof(note));
    const size_t content_at = sizeof(note) + filled(note.n_namesz), size = content_at + filled(note.n_descsz);
    if (content_at + note.n_descsz > notes.size()) break;
    const bool is_gnus = note.n_namesz == 4 && std::memcmp(notes.data() + sizeof(note), "GNU", 4) == 0;
    if (is_gnus && note.n_type == NT_GNU_BUILD_ID) {
      std::string id;
      for (std::byte byte : notes.subspan(content_at, note.n_descsz))
        id += fmt::format("{:02x}", static_cast<unsigned>(byte));
      return id;
    }
    notes = notes.subspan(std::min(size, notes.size()));
  }
  return "";
}

}  // namespace

std::string build_id() {
  std::string id;
  const auto look = [](dl_phdr_info* program, size_t, void* out) {
    for (const ElfW(Phdr) & segment : std::span(program->dlpi_phdr, program->dlpi_phnum)) {
      if (segment.p_type != PT_NOTE) continue;
      // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is what the loader gives
      const auto* notes = reinterpret_cast<const std::byte*>(program->dlpi_addr + segment.p_vaddr);
      auto& found = *static_cast<std::string*>(out);
      if (found.empty()) found = find_build_id({notes, segment.p_memsz}, segment.p_align == 8 ? 8 : 4);
    }
    return 1;  // the program itself is the first; libraries are not asked
  };
  dl_iterate_phdr(look, &id);
  return id;
}

}  // namespace retort
