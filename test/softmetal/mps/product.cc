#include "product.h"

#include <cstdint>
#include <vector>

namespace softmetal {
namespace {

float load(const MatrixView& matrix, size_t row, size_t column) {
  const char* line = matrix.data + row * matrix.rowBytes;
  switch (matrix.element) {
    case Element::kHalf:
      return static_cast<float>(reinterpret_cast<const _Float16*>(line)[column]);
    case Element::kInt8:
      return reinterpret_cast<const int8_t*>(line)[column];
    case Element::kInt16:
      return reinterpret_cast<const int16_t*>(line)[column];
    default:
      return reinterpret_cast<const float*>(line)[column];
  }
}
void store(const MatrixView& matrix, size_t row, size_t column, float value) {
  char* line = matrix.data + row * matrix.rowBytes;
  if (matrix.element == Element::kHalf)
    reinterpret_cast<_Float16*>(line)[column] = static_cast<_Float16>(value);
  else
    reinterpret_cast<float*>(line)[column] = value;
}

std::vector<float> packed(const MatrixView& matrix, size_t rows, size_t columns) {
  std::vector<float> values(rows * columns);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) values[i * columns + j] = matrix.transposed ? load(matrix, j, i) : load(matrix, i, j);
  return values;
}

}  // namespace

void multiply(const MatrixView& a, const MatrixView& b, const MatrixView& c, size_t m, size_t n, size_t k, float alpha, float beta) {
  const std::vector<float> left = packed(a, m, k), right = packed(b, k, n);
  std::vector<float> sum(n);
  for (size_t i = 0; i < m; i++) {
    sum.assign(n, 0);
    for (size_t p = 0; p < k; p++) {
      const float scale = left[i * k + p];
      for (size_t j = 0; j < n; j++) sum[j] += scale * right[p * n + j];
    }
    for (size_t j = 0; j < n; j++) store(c, i, j, alpha * sum[j] + (beta != 0 ? beta * load(c, i, j) : 0));
  }
}

}  // namespace softmetal
