#include "cpu/arithmetic.h"

#include <algorithm>

#include "cpu/cpu_device.h"
#include "cpu/elementwise_kernels.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

// y's axes, those of size 1 dropped and neighbours of one kind merged; a stride is 0 where the operand is repeated.
struct Broadcast {
  struct Axis {
    int64_t size, aStride, bStride;
  };
  int count = 0;
  std::array<Axis, core::kMaxRank> axes{};

  Broadcast(const core::Shape& a, const core::Shape& b, const core::Shape& y) {
    const auto aStrides = a.strides(), bStrides = b.strides();
    const auto strideOf = [&](const core::Shape& shape, const auto& strides, int i) {
      const int axis = i - (y.rank() - shape.rank());
      return axis < 0 || shape[axis] == 1 ? 0 : strides[static_cast<size_t>(axis)];
    };
    for (int i = 0; i < y.rank(); ++i) {
      if (y[i] == 1) continue;
      const Axis axis{y[i], strideOf(a, aStrides, i), strideOf(b, bStrides, i)};
      Axis* const last = count ? &axes[static_cast<size_t>(count - 1)] : nullptr;
      if (last && last->aStride == axis.aStride * axis.size && last->bStride == axis.bStride * axis.size) {
        *last = {last->size * axis.size, axis.aStride, axis.bStride};
      } else {
        axes[static_cast<size_t>(count++)] = axis;
      }
    }
    // Kernels take two axes.
    while (count < 2) {
      std::copy_backward(axes.begin(), axes.begin() + count, axes.begin() + count + 1);
      axes[0] = {1, 0, 0};
      ++count;
    }
  }
};

using Kernel = ElementwiseKernels::Arithmetic;

// Columns [from, from + length) of the rows [begin, end); a row is an index of every axis but the last.
void runRows(const Broadcast& shape, const void* a, const void* b, void* y, Kernel kernel, int64_t begin, int64_t end, int64_t from,
             int64_t length) {
  const auto& rowAxis = shape.axes[static_cast<size_t>(shape.count - 2)];
  const auto& inner = shape.axes[static_cast<size_t>(shape.count - 1)];
  for (int64_t row = begin; row < end;) {
    const int64_t first = row % rowAxis.size, rows = std::min(end - row, rowAxis.size - first);
    int64_t aAt = first * rowAxis.aStride + from * inner.aStride, bAt = first * rowAxis.bStride + from * inner.bStride;
    int64_t index = row / rowAxis.size;
    for (int i = shape.count - 3; i >= 0; --i) {
      const auto& axis = shape.axes[static_cast<size_t>(i)];
      aAt += index % axis.size * axis.aStride;
      bAt += index % axis.size * axis.bStride;
      index /= axis.size;
    }
    kernel(a, b, y, {rows, length, aAt, rowAxis.aStride, inner.aStride, bAt, rowAxis.bStride, inner.bStride, row * inner.size + from});
    row += rows;
  }
}

}  // namespace

void arithmetic(const core::ArithmeticOp& op, Pool& pool) {
  const size_t kind = static_cast<size_t>(op.kind), dtype = static_cast<size_t>(op.y.dtype);
  const void* const a = dataOf<void>(op.a);
  void* const y = dataOf<void>(op.y);
  if (!op.b) {
    const auto kernel = get_elementwiseKernels().withNumber[kind][dtype];
    parallelRanges(pool, op.y.size(), kGrain,
                   [&](int64_t begin, int64_t end) { kernel(a, y, {begin, end - begin}, op.scalar, op.scalarFirst); });
    return;
  }
  const Kernel kernel = get_elementwiseKernels().arithmetic[kind][dtype];
  const void* const b = dataOf<void>(op.b);
  const Broadcast shape(op.a.shape, op.b.shape, op.y.shape);
  const int64_t length = shape.axes[static_cast<size_t>(shape.count - 1)].size;
  const int64_t rows = op.y.size() / length;
  if (length > kGrain) {
    const int64_t pieces = (length + kGrain - 1) / kGrain;
    pool.parallelFor(rows * pieces, [&](int64_t index, int) {
      const int64_t row = index / pieces, from = index % pieces * kGrain;
      runRows(shape, a, b, y, kernel, row, row + 1, from, std::min(kGrain, length - from));
    });
    return;
  }
  parallelRanges(pool, rows, kGrain / length, [&](int64_t begin, int64_t end) { runRows(shape, a, b, y, kernel, begin, end, 0, length); });
}

}  // namespace weightnorm::cpu
