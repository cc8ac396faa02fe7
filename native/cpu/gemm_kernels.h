#pragma once

#include <cstdint>

#include "core/ops.h"
#include "cpu/conv_kernels.h"
#include "cpu/simd/isa.h"

// The inner loops of matrix products that cpu/conv_kernels.h does not have.
namespace weightnorm::cpu {

// Finished rows: y[r][i] = act(scale[i] · sum[r][i] + bias[i]), r < rows, i < count; `y` is the first element, of `dtype`.
// scale, bias and alpha (snake) are one value a column or null. Rows of sums and of y are so many elements apart.
struct FinishColumns {
  float* sum;  // overwritten
  int64_t count, rows, sumStride, yStride;
  core::DType dtype;
  const float *scale, *bias, *alpha;
  core::Act act;
  float param;
  bool logScale;
  void* y;
};

// Outputs that dot() computes for `rows` left rows at once.
constexpr int kDotRows = 4;

struct GemmKernels {
  // sums[r · sumStride + o] = Σ_k x[r · terms + k] · weights[o · terms + k] for r < rows ≤ kDotRows and o < outputs.
  void (*dot)(const float* x, int rows, const void* weights, core::DType dtype, int64_t outputs, int64_t terms, float* sums,
              int64_t sumStride);
  // panel[k · width + j] = b[k · stride + j] for k < terms and j < count, 0 for count ≤ j < width; b of `dtype`.
  void (*packPanel)(const void* b, core::DType dtype, int64_t stride, int64_t terms, int64_t count, float* panel, int64_t width);
  void (*finishColumns)(const FinishColumns& rows);
};

WEIGHTNORM_KERNELS(GemmKernels, gemmKernels)

}  // namespace weightnorm::cpu
