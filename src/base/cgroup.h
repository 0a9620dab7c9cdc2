// What control groups allow this process (cgroups(7)): of version 2, of version 1 and where a machine has both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retort {

// Limits hold at every level from the process's own group up to the root. `root` stands for "/".

// CPUs' worth of time, the least of all levels; infinite where there is no limit.
double cgroup_cpu_quota(const std::string& root = "");

struct CgroupMemory {
  uint64_t limit;  // bytes
  uint64_t used;   // bytes, without the pages of files that the kernel gives back before the limit hurts
};
// Of the levels that have a limit.
std::vector<CgroupMemory> cgroup_memory(const std::string& root = "");

}  // namespace retort
