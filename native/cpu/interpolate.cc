#include "cpu/interpolate.h"

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

template <class T>
void repeat(const T* x, T* y, int64_t begin, int64_t end, int64_t factor) {
  // The usual factor, in a form compilers vectorise.
  if (factor == 2) {
    for (int64_t i = begin; i < end; ++i) y[2 * i] = y[2 * i + 1] = x[i];
    return;
  }
  for (int64_t i = begin; i < end; ++i) {
    for (int64_t j = 0; j < factor; ++j) y[i * factor + j] = x[i];
  }
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
