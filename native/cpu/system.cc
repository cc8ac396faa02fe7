#include "cpu/system.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <thread>
#include <vector>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sched.h>
#endif

namespace weightnorm::cpu {

namespace {

#if defined(__APPLE__)

std::optional<uint64_t> sysctlInteger(const char* name) {
  uint64_t value = 0;
  size_t size = sizeof value;
  if (sysctlbyname(name, &value, &size, nullptr, 0) != 0 || value == 0) return std::nullopt;
  return value;
}

#else

// The directories of this process's cgroup for a controller, innermost first: version 2's and version 1's.
std::vector<std::string> cgroupDirectories(const std::string& controller) {
  std::vector<std::string> directories;
  const auto climb = [&](const std::string& mount, std::string path) {
    for (;;) {
      directories.push_back(mount + path);
      const size_t slash = path.rfind('/');
      if (path.empty() || slash == std::string::npos) break;
      path.resize(slash);
    }
  };
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = line.substr(first, second - first + 1);  // ":cpu,cpuacct:"
    std::replace(controllers.begin(), controllers.end(), ':', ',');
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers == ",,") climb("/sys/fs/cgroup", path);
    if (controllers.find("," + controller + ",") != std::string::npos) climb("/sys/fs/cgroup/" + controller, path);
  }
  return directories;
}

std::optional<uint64_t> readInteger(const std::string& path) {
  std::ifstream file(path);
  uint64_t value;
  if (file >> value) return value;
  return std::nullopt;
}

int cgroupCores() {
  double cores = std::numeric_limits<int>::max();
  for (const std::string& directory : cgroupDirectories("cpu")) {
    double quota = 0, period = 0;
    std::ifstream unified(directory + "/cpu.max");
    std::ifstream legacyQuota(directory + "/cpu.cfs_quota_us"), legacyPeriod(directory + "/cpu.cfs_period_us");
    const bool limited = (unified >> quota >> period) || ((legacyQuota >> quota) && (legacyPeriod >> period));
    if (limited && quota > 0 && period > 0) cores = std::min(cores, quota / period);
  }
  return std::max(1, static_cast<int>(cores));
}

uint64_t cgroupMemory() {
  uint64_t bytes = std::numeric_limits<uint64_t>::max();
  for (const std::string& directory : cgroupDirectories("memory")) {
    for (const char* file : {"/memory.max", "/memory.limit_in_bytes"}) {
      bytes = std::min(bytes, readInteger(directory + file).value_or(bytes));
    }
  }
  return bytes;
}

int allowedCores() {
  // The kernel refuses a set smaller than its own, so grow it.
  for (int cores = 1024; cores <= 65536; cores *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(cores));
    const size_t size = CPU_ALLOC_SIZE(static_cast<size_t>(cores));
    const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

#endif

}  // namespace

int performanceCores() {
#if defined(__APPLE__)
  if (const auto cores = sysctlInteger("hw.perflevel0.physicalcpu")) return static_cast<int>(*cores);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#else
  return std::min(allowedCores(), cgroupCores());
#endif
}

uint64_t usableMemory() {
#if defined(__APPLE__)
  return sysctlInteger("hw.memsize").value_or(uint64_t{8} << 30);
#else
  const uint64_t pages = static_cast<uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
  return std::min(pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), cgroupMemory());
#endif
}

std::string processorName() {
#if defined(__APPLE__)
  char text[256] = {};
  size_t size = sizeof text - 1;
  if (sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0 && text[0]) return text;
#else
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
#endif
#if defined(__x86_64__)
  return "x86-64 processor";
#else
  return "arm64 processor";
#endif
}

}  // namespace weightnorm::cpu
