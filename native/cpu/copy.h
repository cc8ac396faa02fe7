#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/pool.h"

namespace weightnorm::cpu {

// Copies `rows` rows of `bytes` bytes between places `toStride` and `fromStride` bytes apart, on several threads.
void copyRows(Pool& pool, std::byte* to, int64_t toStride, const std::byte* from, int64_t fromStride, int64_t rows, int64_t bytes);

}  // namespace weightnorm::cpu
