#include "cpu/pad.h"

#include <algorithm>
#include <cstring>

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

template <class T>
void padRow(const T* x, int64_t length, T* y, const core::PadOp& op) {
  T* const end = y + op.left + length;
  std::memcpy(y + op.left, x, static_cast<size_t>(length) * sizeof(T));
  switch (op.mode) {
    case core::PadMode::kZeros:
      std::fill_n(y, op.left, T{0});
      std::fill_n(end, op.right, T{0});
      break;
    case core::PadMode::kReflect:
      for (int64_t i = 0; i < op.left; ++i) y[i] = x[op.left - i];
      for (int64_t i = 0; i < op.right; ++i) end[i] = x[length - 2 - i];
      break;
    case core::PadMode::kReplicate:
      std::fill_n(y, op.left, x[0]);
      std::fill_n(end, op.right, x[length - 1]);
      break;
    case core::PadMode::kCircular:
      std::copy_n(x + length - op.left, op.left, y);
      std::copy_n(x, op.right, end);
      break;
  }
}

template <class T>
void padAs(const core::PadOp& op, Pool& pool) {
  constexpr int64_t kGrain = int64_t{1} << 15;
  const int64_t length = op.x.shape[op.x.shape.rank() - 1], padded = length + op.left + op.right;
  const T* const x = dataOf<T>(op.x);
  T* const y = dataOf<T>(op.y);
  parallelRanges(pool, op.x.size() / length, std::max(int64_t{1}, kGrain / padded), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) padRow(x + row * length, length, y + row * padded, op);
  });
}

}  // namespace

void pad(const core::PadOp& op, Pool& pool) {
  if (core::sizeOf(op.x.dtype) == 4) return padAs<uint32_t>(op, pool);
  padAs<uint16_t>(op, pool);
}

}  // namespace weightnorm::cpu
