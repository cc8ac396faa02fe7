#include "validation.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "../engine/faults.h"
#include "../engine/format.h"

namespace softmetal {
namespace {

std::mutex mutex;
std::vector<std::string>& recorded() {
  static auto* messages = new std::vector<std::string>;
  return *messages;
}
std::atomic<size_t> total;

}  // namespace

void recordViolation(const std::string& message) {
  fprintf(stderr, "softmetal: violation: %s\n", message.c_str());
  fflush(stderr);
  total++;
  std::lock_guard lock(mutex);
  recorded().push_back(message);
}

void reportViolation(const std::string& message) {
  recordViolation(message);
  if (setting(Setting::kAbortOnViolation)) abort();
}

std::vector<std::string> takeViolations() {
  std::lock_guard lock(mutex);
  std::vector<std::string> messages;
  messages.swap(recorded());
  return messages;
}

size_t violationCount() {
  return total;
}

bool requireSystem(long major, long minor, const char* what) {
  const SystemVersion version = systemVersion();
  if (version.major > major || (version.major == major && version.minor >= minor)) return true;
  reportViolation(
      format("%s needs macOS %ld.%ld, this is macOS %ld.%ld: unrecognized selector", what, major, minor, version.major, version.minor));
  return false;
}

}  // namespace softmetal
