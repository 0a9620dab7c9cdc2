// How much memory this process has and may take.
#pragma once

#include <cstdint>

namespace retort {

struct Memory {
  uint64_t limit;      // bytes: the smaller of the machine's memory and the cgroup's limit
  uint64_t available;  // bytes this process could still take before that limit
};
Memory memory_of_machine();
Memory memory_of_process();    // the same, within the address space of RLIMIT_AS (ulimit -v) less 2 GiB
double memory_share_in_use();  // of that limit, 0 … 1
uint64_t resident_bytes();     // of this process

}  // namespace retort
