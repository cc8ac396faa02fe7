// Rules of the API. A broken one is printed, recorded, and by default ends the process, as Metal's validation layer does.
#pragma once
#include <string>
#include <vector>

namespace softmetal {

void reportViolation(const std::string& message);  // of the API
void recordViolation(const std::string& message);  // of a kernel, which fails its command buffer: printed and recorded only
std::vector<std::string> takeViolations();
size_t violationCount();  // since the process started

// Availability: reports a call that the forced system version does not have.
bool requireSystem(long major, long minor, const char* what);

}  // namespace softmetal

// Evaluates to whether the condition holds; reports the formatted message if not.
#define SM_VALID(condition, ...) ((condition) || (softmetal::reportViolation(softmetal::format(__VA_ARGS__)), false))
