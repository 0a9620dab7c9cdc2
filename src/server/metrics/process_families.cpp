#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/memory.h"
#include "server/metrics/engine_families.h"

namespace retort {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const char* name, const char* help, MetricType type, double value) {
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {.name = name, .help = help, .type = type, .metric = {std::move(metric)}};
}

// Of /proc/self/stat (proc(5)), where a program's name may hold blanks.
struct ProcessStat {
  double cpu_seconds = 0, start_seconds = 0;  // since the start of the machine
  double virtual_bytes = 0;
};

ProcessStat process_stat() {
  std::ifstream in("/proc/self/stat");
  std::string text(std::istreambuf_iterator<char>(in), {});
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  constexpr int kFirst = 3, kUser = 14, kSystem = 15, kStart = 22, kVirtual = 23;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  ProcessStat stat;
  std::string field;
  for (int i = kFirst; i <= kVirtual && fields >> field; ++i) {
    if (i == kUser || i == kSystem) stat.cpu_seconds += std::stod(field) / ticks;
    if (i == kStart) stat.start_seconds = std::stod(field) / ticks;
    if (i == kVirtual) stat.virtual_bytes = std::stod(field);
  }
  return stat;
}

double boot_time() {
  std::ifstream in("/proc/stat");
  for (std::string key; in >> key; in.ignore(1 << 16, '\n')) {
    double seconds = 0;
    if (key == "btime" && in >> seconds) return seconds;
  }
  return 0;
}

double num_open_files() {
  std::error_code error;
  double count = 0;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", error); !error && it != decltype(it)();
       it.increment(error))
    ++count;
  return count > 0 ? count - 1 : 0;  // but the one that lists them
}

double max_open_files() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0;
}

}  // namespace

std::vector<MetricFamily> process_families() {
  const ProcessStat stat = process_stat();
  return {
      family("process_cpu_seconds_total", "CPU time of user and system.", MetricType::Counter, stat.cpu_seconds),
      family("process_start_time_seconds", "When the process began, in Unix time.", MetricType::Gauge,
             boot_time() + stat.start_seconds),
      family("process_virtual_memory_bytes", "Address space.", MetricType::Gauge, stat.virtual_bytes),
      family("process_resident_memory_bytes", "Memory in use.", MetricType::Gauge,
             static_cast<double>(resident_bytes())),
      family("process_open_fds", "Open file descriptors.", MetricType::Gauge, num_open_files()),
      family("process_max_fds", "The most file descriptors that may be open.", MetricType::Gauge, max_open_files()),
      family("deepseek_gpu_memory_percent", "Share of the memory limit (cgroup's or machine's) in use, 0 to 100.",
             MetricType::Gauge, 100 * memory_share_in_use()),
  };
}

}  // namespace retort
