#pragma once

#include <cstdint>

namespace weightnorm::cpu {

constexpr int64_t kLineFloats = 16;  // of a cache line

// Brings lines that will be written soon towards the caches, all at once: stores wait for theirs in turn. Any address will do.
inline void fetchToWrite(float* first, int64_t floats) {
  for (int64_t i = 0; i < floats; i += kLineFloats) __builtin_prefetch(first + i, 1);
}

}  // namespace weightnorm::cpu
