#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

#include "base/number_file.h"

namespace retort {
namespace {

// From the process's own up to the root. Inside a container the path may be the host's: then only the root's is there.
void add_folders(const std::string& mount, std::string path, std::vector<std::string>& folders) {
  for (; path.size() > 1; path = path.substr(0, path.rfind('/'))) folders.push_back(mount + path);
  folders.push_back(mount);
}

// Where a controller's limits stand. /proc/self/cgroup: "0::/path" is version 2, "4:cpu,cpuacct:/path" version 1.
std::vector<std::string> folders_of(std::string_view controller, const std::string& root) {
  const std::string mounts = root + "/sys/fs/cgroup";
  std::vector<std::string> folders;
  std::ifstream in(root + "/proc/self/cgroup");
  std::string id, controllers, path;
  while (std::getline(in, id, ':') && std::getline(in, controllers, ':') && std::getline(in, path)) {
    if (id == "0") add_folders(mounts, path, folders);
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');)
      if (name == controller) add_folders(mounts + "/" + name, path, folders);
  }
  return folders;
}

// memory.stat of version 1 has the pages of the groups below under a name of their own.
uint64_t reclaimable_bytes(const std::string& folder, std::string_view key) {
  std::ifstream in(folder + "/memory.stat");
  std::string name;
  for (uint64_t value = 0; in >> name >> value;)
    if (name == key) return value;
  return 0;
}

struct MemoryFiles {
  const char *limit, *used, *reclaimable;
};
constexpr MemoryFiles kMemoryFiles[] = {
    {"/memory.max", "/memory.current", "inactive_file"},
    {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"},
};

}  // namespace

double cgroup_cpu_quota(const std::string& root) {
  double quota = std::numeric_limits<double>::infinity();
  for (const auto& folder : folders_of("cpu", root)) {
    std::ifstream in(folder + "/cpu.max");
    double limit = 0, period = 0;
    if (in >> limit >> period && period > 0) quota = std::min(quota, limit / period);
    const auto limit_us = read_number(folder + "/cpu.cfs_quota_us"),
               period_us = read_number(folder + "/cpu.cfs_period_us");
    if (limit_us && period_us.value_or(0) > 0)
      quota = std::min(quota, static_cast<double>(*limit_us) / static_cast<double>(*period_us));
  }
  return quota;
}

std::vector<CgroupMemory> cgroup_memory(const std::string& root) {
  std::vector<CgroupMemory> levels;
  for (const auto& folder : folders_of("memory", root))
    for (const auto& files : kMemoryFiles) {
      const auto limit = read_number(folder + files.limit), used = read_number(folder + files.used);
      if (limit && used)
        levels.push_back({*limit, *used - std::min(*used, reclaimable_bytes(folder, files.reclaimable))});
    }
  return levels;
}

}  // namespace retort
