#include "cpu/system.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
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

// The whole text of a small file of the system, empty where it cannot be read. (A file stream would bring the locales of the
// whole C++ library into the binary.)
std::string readText(const std::string& path) {
  std::string text;
  FILE* file = std::fopen(path.c_str(), "re");
  if (!file) return text;
  char part[4096];
  for (size_t bytes; (bytes = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, bytes);
  std::fclose(file);
  return text;
}

// The lines of a text, taken from its front.
bool takeLine(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return true;
}

// The whole numbers that a text begins with, parted by spaces.
std::vector<uint64_t> integers(std::string_view text) {
  std::vector<uint64_t> values;
  uint64_t value;
  for (const char *at = text.data(), *end = at + text.size();;) {
    while (at < end && *at == ' ') at++;
    const auto [next, failure] = std::from_chars(at, end, value);
    if (failure != std::errc()) return values;
    values.push_back(value);
    at = next;
  }
}

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
  const std::string text = readText("/proc/self/cgroup");
  std::string_view rest = text;
  for (std::string_view line; takeLine(rest, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers(line.substr(first, second - first + 1));  // ":cpu,cpuacct:"
    std::replace(controllers.begin(), controllers.end(), ':', ',');
    std::string path(line.substr(second + 1));
    if (path == "/") path.clear();
    if (controllers == ",,") climb("/sys/fs/cgroup", path);
    if (controllers.find("," + controller + ",") != std::string::npos) climb("/sys/fs/cgroup/" + controller, path);
  }
  return directories;
}

int cgroupCores() {
  double cores = std::numeric_limits<int>::max();
  const auto limit = [&](const std::vector<uint64_t>& quota, uint64_t period) {
    if (!quota.empty() && quota[0] > 0 && period > 0) cores = std::min(cores, static_cast<double>(quota[0]) / static_cast<double>(period));
  };
  for (const std::string& directory : cgroupDirectories("cpu")) {
    const std::vector<uint64_t> unified = integers(readText(directory + "/cpu.max"));
    if (unified.size() == 2) limit(unified, unified[1]);
    const std::vector<uint64_t> period = integers(readText(directory + "/cpu.cfs_period_us"));
    if (!period.empty()) limit(integers(readText(directory + "/cpu.cfs_quota_us")), period[0]);
  }
  return std::max(1, static_cast<int>(cores));
}

uint64_t cgroupMemory() {
  uint64_t bytes = std::numeric_limits<uint64_t>::max();
  for (const std::string& directory : cgroupDirectories("memory")) {
    for (const char* file : {"/memory.max", "/memory.limit_in_bytes"}) {
      const std::vector<uint64_t> limit = integers(readText(directory + file));
      if (!limit.empty()) bytes = std::min(bytes, limit[0]);
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
  const std::string text = readText("/proc/cpuinfo");
  std::string_view rest = text;
  for (std::string_view line; takeLine(rest, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string_view::npos) return std::string(line.substr(colon + 2));
  }
#endif
#if defined(__x86_64__)
  return "x86-64 processor";
#else
  return "arm64 processor";
#endif
}

}  // namespace weightnorm::cpu
