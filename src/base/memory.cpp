#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/cgroup.h"

namespace retort {
namespace {

// Threads map stacks and heaps of which they touch little, and a form is compiled on a stack of 256 MiB.
constexpr uint64_t kKeptAddressSpace = uint64_t{2} << 30;

struct ProcessBytes {
  uint64_t mapped = 0, resident = 0;
};
ProcessBytes bytes_of_process() {
  std::ifstream in("/proc/self/statm");
  ProcessBytes pages;
  in >> pages.mapped >> pages.resident;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return {pages.mapped * page, pages.resident * page};
}

}  // namespace

Memory memory_of_machine() {
  Memory memory{};
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  uint64_t kib = 0;
  while (in >> key >> kib && std::getline(in, unit)) {
    if (key == "MemTotal:") memory.limit = kib * 1024;
    if (key == "MemAvailable:") memory.available = kib * 1024;
  }
  for (const auto& group : cgroup_memory()) {
    memory.limit = std::min(memory.limit, group.limit);
    memory.available = std::min(memory.available, group.limit > group.used ? group.limit - group.used : 0);
  }
  return memory;
}

Memory memory_of_process() {
  Memory memory = memory_of_machine();
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return memory;
  const uint64_t used = bytes_of_process().mapped + kKeptAddressSpace;
  memory.limit = std::min<uint64_t>(memory.limit, limit.rlim_cur);
  memory.available = std::min<uint64_t>(memory.available, limit.rlim_cur > used ? limit.rlim_cur - used : 0);
  return memory;
}

double memory_share_in_use() {
  const Memory memory = memory_of_machine();
  return memory.limit == 0 ? 0 : 1 - static_cast<double>(memory.available) / static_cast<double>(memory.limit);
}

uint64_t resident_bytes() { return bytes_of_process().resident; }

}  // namespace retort
