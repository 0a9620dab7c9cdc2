#include "base/cpu.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/cgroup.h"
#include "base/number_file.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace retort {
namespace {

struct IsaName {
  Isa isa;
  std::string_view name;
};
constexpr std::array kIsaNames = {
    IsaName{Isa::kScalar, "scalar"},
    IsaName{Isa::kAvx2, "avx2"},
    IsaName{Isa::kAvxVnni, "avxvnni"},
    IsaName{Isa::kAvx512Vnni, "avx512vnni"},
    IsaName{Isa::kAvx512Bf16, "avx512bf16"},
    IsaName{Isa::kAmx, "amx"},
    IsaName{Isa::kNeonDotprod, "neon-dotprod"},
    IsaName{Isa::kNeonI8mm, "neon-i8mm"},
};

std::string cpuinfo_field(std::string_view key) {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return "";
}

#if defined(__x86_64__)
// AMX's tiles are state that a process must ask the kernel for, once, for all of its threads (Linux 5.16,
// arch_prctl(2)).
bool may_use_amx() {
  const auto flags = cpuinfo_field("flags") + " ";
  if (flags.find(" amx_tile ") == std::string::npos || flags.find(" amx_int8 ") == std::string::npos) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

}  // namespace

std::string_view isa_name(Isa isa) {
  for (const auto& entry : kIsaNames)
    if (entry.isa == isa) return entry.name;
  return "unknown";
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const auto& entry : kIsaNames)
    if (entry.name == name) return entry.isa;
  return std::nullopt;
}

std::vector<Isa> isas_of(const X86Features& has) {
  std::vector<Isa> isas = {Isa::kScalar};
  if (!has.avx2) return isas;
  isas.push_back(Isa::kAvx2);
  if (has.avxvnni) isas.push_back(Isa::kAvxVnni);
  if (!has.avx512vnni) return isas;
  isas.push_back(Isa::kAvx512Vnni);
  if (!has.avx512bf16) return isas;
  // Intel's cores begin one vdpbf16ps while they begin four fused multiply-adds, which make half as many products.
  isas.insert(has.is_intel ? isas.end() - 1 : isas.end(), Isa::kAvx512Bf16);
  if (has.amx) isas.push_back(Isa::kAmx);
  return isas;
}

std::vector<Isa> supported_isas() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  X86Features has;
  has.is_intel = __builtin_cpu_is("intel");
  has.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  has.avxvnni = __builtin_cpu_supports("avxvnni");
  has.avx512vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vnni");
  has.avx512bf16 = __builtin_cpu_supports("avx512bf16");
  has.amx = has.avx512vnni && has.avx512bf16 && may_use_amx();
  return isas_of(has);
#else
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__aarch64__)
  constexpr unsigned long kHwcapAsimdHp = 1UL << 10, kHwcapAsimdDp = 1UL << 20, kHwcap2I8mm = 1UL << 13;
  const unsigned long caps = getauxval(AT_HWCAP);
  if ((caps & kHwcapAsimdDp) && (caps & kHwcapAsimdHp)) isas.push_back(Isa::kNeonDotprod);
  if (isas.back() == Isa::kNeonDotprod && (getauxval(AT_HWCAP2) & kHwcap2I8mm)) isas.push_back(Isa::kNeonI8mm);
#endif
  return isas;
#endif
}

Result<Isa> select_isa() {
  const auto isas = supported_isas();
  const char* forced = std::getenv("RETORT_ISA");
  if (forced == nullptr || *forced == '\0') return isas.back();
  std::string supported;
  for (Isa isa : isas) supported += (supported.empty() ? "" : ", ") + std::string(isa_name(isa));
  const auto isa = isa_from_name(forced);
  if (!isa || std::find(isas.begin(), isas.end(), *isa) == isas.end())
    return fail(ErrorKind::kBadUsage, "[cpu] RETORT_ISA: expected one this machine supports ({}), got '{}'", supported,
                forced);
  return *isa;
}

std::string cpu_model() {
  const auto name = cpuinfo_field("model name");
  return name.empty() ? "unknown CPU" : name;
}

std::string cpu_features() {
  auto flags = cpuinfo_field("flags");
  if (flags.empty()) flags = cpuinfo_field("Features");
  static const std::set<std::string> kOfInterest = {"avx2",        "f16c",     "avx_vnni", "avx512_vnni",
                                                    "avx512_bf16", "amx_int8", "amx_bf16", "asimddp",
                                                    "i8mm",        "bf16",     "sve"};
  std::istringstream in(flags);
  std::string flag, found;
  while (in >> flag)
    if (kOfInterest.contains(flag)) found += (found.empty() ? "" : " ") + flag;
  return found;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

int num_usable_cpus() {
  const auto num_cpus = static_cast<double>(allowed_cpus().size());
  return static_cast<int>(std::max(1.0, std::min(num_cpus, std::ceil(cgroup_cpu_quota()))));
}

int default_num_threads() {
  const auto cpus = allowed_cpus();
  // Two hardware threads of one core share its execution units: kernels gain nothing from the second.
  std::set<std::pair<uint64_t, uint64_t>> cores;
  for (int cpu : cpus) {
    const auto folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const auto package = read_number(folder + "physical_package_id");
    const auto core = read_number(folder + "core_id");
    if (!core) return static_cast<int>(std::max(1.0, std::min<double>(cpus.size(), cgroup_cpu_quota())));
    cores.insert({package.value_or(0), *core});
  }
  return static_cast<int>(std::max(1.0, std::min<double>(cores.size(), cgroup_cpu_quota())));
}

}  // namespace retort
