// What this machine can do and how much of it this process may use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort {

// Instruction sets that kernels are written for.
enum class Isa { kScalar, kAvx2, kAvx512Vnni, kAvx512Bf16, kAmx, kNeonDotprod, kNeonI8mm };

// As RETORT_ISA spells it: scalar, avx2, avx512vnni, avx512bf16, amx, neon-dotprod, neon-i8mm.
std::string_view isa_name(Isa isa);
std::optional<Isa> isa_from_name(std::string_view name);

// Every set this CPU and operating system can run, slowest first; always begins with kScalar.
std::vector<Isa> supported_isas();

// The fastest supported set, or the one RETORT_ISA names. Error: RETORT_ISA names one unknown or not supported here.
Result<Isa> select_isa();

std::string cpu_model();          // "AMD EPYC 9354"
std::string cpu_features();       // those that matter here, "avx2 f16c avx512vnni avx512bf16"
std::vector<int> allowed_cpus();  // by affinity mask
int num_usable_cpus();            // of those, as many as the cgroup's CPU quota lets run at once, at least 1
int default_num_threads();        // physical cores among allowed_cpus(), within the cgroup's CPU quota, at least 1

struct Memory {
  uint64_t limit;      // bytes: the smaller of the machine's memory and the cgroup's limit
  uint64_t available;  // bytes this process could still take before that limit
};
Memory memory_of_machine();
Memory memory_of_process();    // the same, within the address space of RLIMIT_AS (ulimit -v) less 2 GiB
double memory_share_in_use();  // of that limit, 0 … 1
uint64_t resident_bytes();     // of this process

}  // namespace retort
