#include "cpu/copy.h"

#include <algorithm>
#include <cstring>

namespace weightnorm::cpu {

namespace {
constexpr int64_t kGrain = int64_t{1} << 18;
}

void copyRows(Pool& pool, std::byte* to, int64_t toStride, const std::byte* from, int64_t fromStride, int64_t rows, int64_t bytes) {
  if (toStride == bytes && fromStride == bytes) {
    bytes *= rows;
    rows = 1;
  }
  if (bytes > kGrain) {
    const int64_t pieces = (bytes + kGrain - 1) / kGrain;
    pool.parallelFor(rows * pieces, [&](int64_t index, int) {
      const int64_t row = index / pieces, begin = index % pieces * kGrain;
      std::memcpy(to + row * toStride + begin, from + row * fromStride + begin, static_cast<size_t>(std::min(kGrain, bytes - begin)));
    });
    return;
  }
  parallelRanges(pool, rows, kGrain / bytes, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::memcpy(to + row * toStride, from + row * fromStride, static_cast<size_t>(bytes));
    }
  });
}

}  // namespace weightnorm::cpu
