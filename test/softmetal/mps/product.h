// C = alpha op(A) op(B) + beta C on strided rows, in float32.
#pragma once
#include <cstddef>

namespace softmetal {

enum class Element { kFloat, kHalf, kInt8, kInt16 };

struct MatrixView {
  char* data;
  size_t rowBytes;
  Element element;
  bool transposed = false;
};
// Result m x n, inner dimension k. Half results are rounded once.
void multiply(const MatrixView& a, const MatrixView& b, const MatrixView& c, size_t m, size_t n, size_t k, float alpha, float beta);

}  // namespace softmetal
