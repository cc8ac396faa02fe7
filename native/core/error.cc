#include "core/error.h"

#include <cstdarg>
#include <cstdio>

namespace weightnorm::core {

const char* name(Code code) {
  switch (code) {
    case Code::kArgument:
      return "ERR_ARGUMENT";
    case Code::kShape:
      return "ERR_SHAPE";
    case Code::kDType:
      return "ERR_DTYPE";
    case Code::kDevice:
      return "ERR_DEVICE";
    case Code::kDisposed:
      return "ERR_DISPOSED";
    case Code::kMemory:
      return "ERR_MEMORY";
    case Code::kDeviceUnavailable:
      return "ERR_DEVICE_UNAVAILABLE";
    case Code::kDeviceLost:
      return "ERR_DEVICE_LOST";
    case Code::kExecution:
      return "ERR_EXECUTION";
    case Code::kState:
      return "ERR_STATE";
  }
  return "ERR_EXECUTION";
}

std::string format(const char* pattern, ...) {
  va_list args;
  va_start(args, pattern);
  va_list measure;
  va_copy(measure, args);
  const int length = std::vsnprintf(nullptr, 0, pattern, measure);
  va_end(measure);
  std::string text(static_cast<size_t>(length < 0 ? 0 : length), '\0');
  std::vsnprintf(text.data(), text.size() + 1, pattern, args);
  va_end(args);
  return text;
}

}  // namespace weightnorm::core
