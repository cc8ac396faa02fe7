#include "cpu/transpose.h"

#include <algorithm>
#include <vector>

#include "cpu/copy.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;
constexpr int64_t kTile = 16;

// y's axes with x's strides, those of size 1 dropped and neighbours that stay together merged.
struct Axis {
  int64_t size, from, to;  // strides in x and in y
};
std::vector<Axis> axesOf(const core::TransposeOp& op) {
  const auto xStrides = op.x.shape.strides(), yStrides = op.y.shape.strides();
  std::vector<Axis> axes;
  for (int i = 0; i < op.y.shape.rank(); ++i) {
    const size_t axis = static_cast<size_t>(i);
    if (op.y.shape[i] == 1) continue;
    const Axis next{op.y.shape[i], xStrides[static_cast<size_t>(op.permutation[axis])], yStrides[axis]};
    if (!axes.empty() && axes.back().from == next.size * next.from) {
      axes.back() = {axes.back().size * next.size, next.from, next.to};
    } else {
      axes.push_back(next);
    }
  }
  return axes;
}

// The places in x and y of an index over `axes`.
struct Place {
  int64_t from = 0, to = 0;
};
Place place(const std::vector<Axis>& axes, int64_t index) {
  Place at;
  for (size_t i = axes.size(); i-- > 0;) {
    at.from += index % axes[i].size * axes[i].from;
    at.to += index % axes[i].size * axes[i].to;
    index /= axes[i].size;
  }
  return at;
}

// y[i][j] = x[j][i] over `rows` × `columns` of y, through a tile so that both sides are touched line by line.
template <class T>
void transposeTile(const T* x, int64_t xStride, T* y, int64_t yStride, int64_t rows, int64_t columns) {
  if (rows == kTile && columns == kTile) {
    for (int64_t i = 0; i < kTile; ++i) {
      for (int64_t j = 0; j < kTile; ++j) y[i * yStride + j] = x[j * xStride + i];
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) y[i * yStride + j] = x[j * xStride + i];
  }
}

// The last axis keeps its place: runs are copied.
template <class T>
void copyRuns(const T* x, T* y, std::vector<Axis> axes, Pool& pool) {
  const int64_t length = axes.back().size;
  axes.pop_back();
  int64_t runs = 1;
  for (const Axis& axis : axes) runs *= axis.size;
  parallelRanges(pool, runs, std::max(int64_t{1}, kGrain / length), [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      const Place at = place(axes, run);
      std::copy_n(x + at.from, length, y + at.to);
    }
  });
}

// y's last axis and x's last axis are a matrix to transpose, for every index of the other axes.
template <class T>
void transposeMatrices(const T* x, T* y, std::vector<Axis> axes, Pool& pool) {
  const Axis columns = axes.back();
  axes.pop_back();
  const auto found = std::find_if(axes.begin(), axes.end(), [](const Axis& axis) { return axis.from == 1; });
  const Axis rows = *found;
  axes.erase(found);
  int64_t matrices = 1;
  for (const Axis& axis : axes) matrices *= axis.size;
  const int64_t bands = (rows.size + kTile - 1) / kTile;
  const int64_t grain = std::max(int64_t{1}, kGrain / (kTile * columns.size));
  parallelRanges(pool, matrices * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {
      const Place at = place(axes, band / bands);
      const int64_t row = band % bands * kTile;
      const int64_t height = std::min(kTile, rows.size - row);
      for (int64_t column = 0; column < columns.size; column += kTile) {
        transposeTile(x + at.from + row + column * columns.from, columns.from, y + at.to + row * rows.to + column, rows.to, height,
                      std::min(kTile, columns.size - column));
      }
    }
  });
}

template <class T>
void transposeAs(const core::TransposeOp& op, Pool& pool) {
  const T* const x = dataOf<T>(op.x);
  T* const y = dataOf<T>(op.y);
  const std::vector<Axis> axes = axesOf(op);
  if (axes.size() < 2) {
    const int64_t bytes = static_cast<int64_t>(op.x.bytes());
    copyRows(pool, reinterpret_cast<std::byte*>(y), bytes, reinterpret_cast<const std::byte*>(x), bytes, 1, bytes);
  } else if (axes.back().from == 1) {
    copyRuns(x, y, axes, pool);
  } else {
    transposeMatrices(x, y, axes, pool);
  }
}

}  // namespace

void transpose(const core::TransposeOp& op, Pool& pool) {
  if (core::sizeOf(op.x.dtype) == 4) return transposeAs<uint32_t>(op, pool);
  transposeAs<uint16_t>(op, pool);
}

}  // namespace weightnorm::cpu
