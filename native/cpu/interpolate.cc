#include "cpu/interpolate.h"

#include <cstring>

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

// Words of eight bytes: what reaches past an element's run is overwritten by the next. kFactor 0: `factor` is used.
template <class T, int kFactor>
void repeatBy(const T* x, T* y, int64_t begin, int64_t end, int64_t factor) {
  constexpr int64_t kWord = 8 / sizeof(T);
  constexpr uint64_t kOnes = sizeof(T) == 4 ? 0x0000000100000001 : 0x0001000100010001;
  if constexpr (kFactor > 0) factor = kFactor;
  const int64_t written = (factor + kWord - 1) / kWord * kWord;
  int64_t i = begin;
  for (; (end - i) * factor >= written; ++i) {
    const uint64_t word = x[i] * kOnes;
    for (int64_t j = 0; j < factor; j += kWord) std::memcpy(y + i * factor + j, &word, sizeof(word));
  }
  for (; i < end; ++i) {
    for (int64_t j = 0; j < factor; ++j) y[i * factor + j] = x[i];
  }
}

template <class T>
void repeat(const T* x, T* y, int64_t begin, int64_t end, int64_t factor) {
  // The usual factors; the first in a form compilers vectorise.
  if (factor == 2) {
    for (int64_t i = begin; i < end; ++i) y[2 * i] = y[2 * i + 1] = x[i];
    return;
  }
  if (factor == 3) return repeatBy<T, 3>(x, y, begin, end, factor);
  if (factor == 4) return repeatBy<T, 4>(x, y, begin, end, factor);
  if (factor == 8) return repeatBy<T, 8>(x, y, begin, end, factor);
  repeatBy<T, 0>(x, y, begin, end, factor);
}

template <class T>
void interpolateAs(const core::InterpolateOp& op, Pool& pool) {
  constexpr int64_t kGrain = int64_t{1} << 15;
  const T* const x = dataOf<T>(op.x);
  T* const y = dataOf<T>(op.y);
  const int64_t grain = kGrain / op.factor > 0 ? kGrain / op.factor : 1;
  parallelRanges(pool, op.x.size(), grain, [&](int64_t begin, int64_t end) { repeat(x, y, begin, end, op.factor); });
}

}  // namespace

void interpolate(const core::InterpolateOp& op, Pool& pool) {
  if (core::sizeOf(op.x.dtype) == 4) return interpolateAs<uint32_t>(op, pool);
  interpolateAs<uint16_t>(op, pool);
}

}  // namespace weightnorm::cpu
