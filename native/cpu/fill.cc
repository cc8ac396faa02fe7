#include "cpu/fill.h"

#include <algorithm>

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

template <class T>
void fillAs(const core::Tensor& y, T value, Pool& pool) {
  constexpr int64_t kGrain = int64_t{1} << 16;
  T* const data = dataOf<T>(y);
  parallelRanges(pool, y.size(), kGrain, [&](int64_t begin, int64_t end) { std::fill(data + begin, data + end, value); });
}

}  // namespace

void fill(const core::FillOp& op, Pool& pool) {
  if (op.y.dtype == core::DType::kFloat32) return fillAs(op.y, op.value, pool);
  fillAs(op.y, op.y.dtype == core::DType::kFloat16 ? core::floatToHalf(op.value) : core::floatToBFloat(op.value), pool);
}

}  // namespace weightnorm::cpu
