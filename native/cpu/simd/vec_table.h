#pragma once

#include <cstdint>

#include "core/ops.h"
#include "cpu/simd/isa.h"

// The vector functions behind plain pointers: what the tests of cpu/simd reach, and dtype conversion for anyone.
namespace weightnorm::cpu {

struct VecTable {
  // y[i] = x[i] for i < n, rounded to nearest even; x and y do not overlap.
  void (*convert)(const void* x, core::DType from, void* y, core::DType to, int64_t n);
  // y[i] = activation of x[i], all float32; alpha is snake's one channel value.
  void (*activate)(core::Act act, float param, float alpha, bool logScale, const float* x, float* y, int64_t n);
  // y[i] = log x[i] and erf x[i].
  void (*log)(const float* x, float* y, int64_t n);
  void (*erf)(const float* x, float* y, int64_t n);
};

WEIGHTNORM_KERNELS(VecTable, vecTable)

}  // namespace weightnorm::cpu
