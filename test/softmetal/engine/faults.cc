#include "faults.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace softmetal {
namespace {

struct Description {
  const char* name;
  int64_t initial;
};
constexpr Description kDescriptions[] = {
    {"no_device", 0},
    {"family", 7},
    {"metal3", 1},
    {"unified_memory", 1},
    {"max_threads", 1024},
    {"max_buffer_length", int64_t{4} << 30},
    {"working_set", int64_t{8} << 30},
    {"memory_limit", 0},
    {"fail_allocation", 0},
    {"fail_allocation_once", 0},
    {"fail_product", 0},
    {"simd_width", 32},
    {"fail_compile", 0},
    {"fail_pipeline", 0},
    {"fail_commit", 0},
    {"fail_commit_code", 2},
    {"revoke_after_failure", 0},
    {"hang", 0},
    {"completion_delay", 0},
    {"shuffle_completion", 0},
    {"handlers_after_wait", 0},
    {"flush_subnormals", 0},
    {"fast_math", 0},
    {"seed", 1},
    {"abort_on_violation", 1},
    {"report_leaks", 0},
    {"race_check", 1},
};
constexpr size_t kCount = static_cast<size_t>(Setting::kCount);
static_assert(sizeof kDescriptions / sizeof *kDescriptions == kCount);

struct State {
  std::atomic<int64_t> values[kCount];
  std::mutex versionMutex;
  SystemVersion version;
  State() { reset(); }
  void reset() {
    for (size_t i = 0; i < kCount; i++) {
      std::string variable = "SOFTMETAL_";
      for (const char* c = kDescriptions[i].name; *c; c++) variable += static_cast<char>(toupper(*c));
      const char* text = getenv(variable.c_str());
      values[i] = text && *text ? strtoll(text, nullptr, 10) : kDescriptions[i].initial;
    }
    version = {};
    if (const char* text = getenv("SOFTMETAL_OS_VERSION")) sscanf(text, "%ld.%ld.%ld", &version.major, &version.minor, &version.patch);
  }
};
State& state() {
  static auto* instance = new State;
  return *instance;
}

}  // namespace

int64_t setting(Setting name) {
  return state().values[static_cast<size_t>(name)];
}
void setSetting(Setting name, int64_t value) {
  state().values[static_cast<size_t>(name)] = value;
}

bool setSettingByName(const std::string& name, int64_t value) {
  for (size_t i = 0; i < kCount; i++)
    if (name == kDescriptions[i].name) {
      state().values[i] = value;
      return true;
    }
  return false;
}

void resetSettings() {
  std::lock_guard lock(state().versionMutex);
  state().reset();
}

SystemVersion systemVersion() {
  std::lock_guard lock(state().versionMutex);
  return state().version;
}
void setSystemVersion(SystemVersion version) {
  std::lock_guard lock(state().versionMutex);
  state().version = version;
}

bool takesTurn(Setting name) {
  auto& value = state().values[static_cast<size_t>(name)];
  for (int64_t seen = value; seen > 0;)
    if (value.compare_exchange_weak(seen, seen - 1)) return seen == 1;
  return false;
}

}  // namespace softmetal
