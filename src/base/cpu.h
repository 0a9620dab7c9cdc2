// What this machine's processor can do and how much of it this process may use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace retort {

// Instruction sets that kernels are written for.
enum class Isa { kScalar, kAvx2, kAvxVnni, kAvx512Vnni, kAvx512Bf16, kAmx, kNeonDotprod, kNeonI8mm };

// As RETORT_ISA spells it: scalar, avx2, avxvnni, avx512vnni, avx512bf16, amx, neon-dotprod, neon-i8mm.
std::string_view isa_name(Isa isa);
std::optional<Isa> isa_from_name(std::string_view name);

// Every set this CPU and operating system can run, slowest first; always begins with kScalar.
std::vector<Isa> supported_isas();

// What of an x86-64 CPU decides which sets it runs; each is what its set needs beside those before it.
struct X86Features {
  bool is_intel = false, avx2 = false, avxvnni = false, avx512vnni = false, avx512bf16 = false, amx = false;
};
std::vector<Isa> isas_of(const X86Features& has);

// The fastest supported set, or the one RETORT_ISA names. Error: RETORT_ISA names one unknown or not supported here.
Result<Isa> select_isa();

std::string cpu_model();          // "AMD EPYC 9354"
std::string cpu_features();       // those that matter here, "avx2 f16c avx512vnni avx512bf16"
std::vector<int> allowed_cpus();  // by affinity mask
int num_usable_cpus();            // of those, as many as the cgroup's CPU quota lets run at once, at least 1
int default_num_threads();        // physical cores among allowed_cpus(), within that quota, at least 1

}  // namespace retort
