#pragma once

#include <cstdint>

#include "core/ops.h"
#include "cpu/simd/isa.h"

namespace weightnorm::cpu {

// Elements [begin, begin + n) of x and y.
struct Span {
  int64_t begin, n;
};

// `rows` × `length` elements; each operand steps by its row stride, and by its step (0 or 1) inside a row.
struct Grid {
  int64_t rows, length;
  int64_t aBegin, aRow, aStep;
  int64_t bBegin, bRow, bStep;
  int64_t yBegin;  // y is contiguous
};

struct ElementwiseKernels {
  // y = activation(x); every kind but snake, whose numbers vary by channel.
  using Activate = void (*)(const void* x, void* y, Span span, float param);
  Activate activate[12][3];  // [Act][DType]

  // Snake's α and 1 / (α + 1e-9) of each of `count` channels, from alpha of the given dtype.
  void (*snakeChannels)(const void* alpha, core::DType dtype, int64_t count, bool logScale, float* value, float* scale);
  // Snake over the span; element i has the channel numbers at (i / length) % channels.
  using Snake = void (*)(const void* x, void* y, Span span, int64_t length, int64_t channels, const float* alpha, const float* scale);
  Snake snake[3];  // [DType]

  using Arithmetic = void (*)(const void* a, const void* b, void* y, Grid grid);
  Arithmetic arithmetic[4][3];  // [core::Arithmetic][DType]
  // y = x ∘ number, or number ∘ x; the number is not rounded to the dtype.
  using WithNumber = void (*)(const void* x, void* y, Span span, float number, bool numberFirst);
  WithNumber withNumber[4][3];
};

WEIGHTNORM_KERNELS(ElementwiseKernels, elementwiseKernels)

}  // namespace weightnorm::cpu
