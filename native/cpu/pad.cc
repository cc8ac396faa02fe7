#include "cpu/pad.h"

#include <algorithm>
#include <cstring>

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

// The element of a row of `length` that stands at position `i` < 0 or >= length.
int64_t source(int64_t i, int64_t length, core::PadMode mode) {
  if (mode == core::PadMode::kReplicate) return std::clamp(i, int64_t{0}, length - 1);
  if (mode == core::PadMode::kCircular) return (i % length + length) % length;
  return i < 0 ? -i : 2 * (length - 1) - i;
}

template <class T>
void padRow(const T* x, int64_t length, T* y, const core::PadOp& op) {
  const auto edge = [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      y[op.left + i] = op.mode == core::PadMode::kZeros ? T{0} : x[source(i, length, op.mode)];
    }
  };
  edge(-op.left, 0);
  std::memcpy(y + op.left, x, static_cast<size_t>(length) * sizeof(T));
  edge(length, length + op.right);
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
