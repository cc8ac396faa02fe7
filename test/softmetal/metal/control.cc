// softmetal/control.h, and the report at the end of the process.
#include "../include/softmetal/control.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "../engine/counters.h"
#include "../engine/executor.h"
#include "../engine/faults.h"
#include "../objc/runtime.h"
#include "loss.h"
#include "validation.h"

namespace {

uint64_t copyOut(const std::string& text, char* buffer, uint64_t size) {
  if (buffer && size) {
    const uint64_t length = std::min<uint64_t>(text.size(), size - 1);
    memcpy(buffer, text.data(), length);
    buffer[length] = 0;
  }
  return text.size();
}

std::string liveByClass() {
  std::string text;
  softmetal_objc_live_objects([](const char* name, long count,
                                 void* context) { *static_cast<std::string*>(context) += name + (" " + std::to_string(count)) + "\n"; },
                              &text);
  return text;
}

// Objects that the library itself keeps: the empty array and dictionary.
const long ownObjects = 2;

__attribute__((destructor)) void reportAtExit() {
  if (!softmetal::setting(softmetal::Setting::kReportLeaks)) return;
  fprintf(stderr, "softmetal: live objects %ld, violations %zu\n", static_cast<long>(softmetal_live_objects()),
          softmetal::violationCount());
  if (softmetal_live_objects()) fputs(liveByClass().c_str(), stderr);
}

}  // namespace

extern "C" {
int softmetal_set(const char* name, int64_t value) {
  return softmetal::setSettingByName(name, value) ? 0 : -1;
}
void softmetal_reset(void) {
  softmetal::resetSettings();
  softmetal::restoreDevice();
  softmetal::releaseHang();
}
void softmetal_set_os_version(long major, long minor, long patch) {
  softmetal::setSystemVersion({major, minor, patch});
}
void softmetal_lose_device(long code) {
  softmetal::loseDevice(code);
}
void softmetal_release_hang(void) {
  softmetal::releaseHang();
}

uint64_t softmetal_violation_count(void) {
  return softmetal::violationCount();
}
uint64_t softmetal_take_violations(char* buffer, uint64_t size) {
  if (!buffer || !size) return 0;
  std::string text;
  for (const std::string& message : softmetal::takeViolations()) text += message + "\n";
  return copyOut(text, buffer, size);
}

uint64_t softmetal_counters_json(char* buffer, uint64_t size) {
  return copyOut(softmetal::countersJson(), buffer, size);
}
void softmetal_reset_counters(void) {
  softmetal::resetCounters();
}

int64_t softmetal_live_objects(void) {
  return softmetal_objc_live_objects(nullptr, nullptr) - ownObjects;
}
uint64_t softmetal_live_objects_by_class(char* buffer, uint64_t size) {
  return copyOut(liveByClass(), buffer, size);
}

int softmetal_renew(void* contents, uint64_t size) {
  auto lock = softmetal::bulkLock();
  softmetal::Region* region = softmetal::Arena::instance().find(contents);
  if (!region || region == softmetal::Arena::freedMarker()) return -1;
  const uint64_t offset = static_cast<char*>(contents) - region->base;
  if (offset + size > region->length) return -1;
  region->renewRange(offset, size);
  return 0;
}
}
