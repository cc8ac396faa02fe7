// printf into a string.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <string>

namespace softmetal {

__attribute__((format(printf, 1, 2))) inline std::string format(const char* pattern, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, pattern);
  vsnprintf(buffer, sizeof buffer, pattern, arguments);
  va_end(arguments);
  return buffer;
}

}  // namespace softmetal
