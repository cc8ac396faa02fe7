#pragma once

#include <optional>

#include "core/storage.h"

namespace weightnorm::cpu {

// eps as kernels take it: negative where it is unset.
inline double epsOf(const std::optional<double>& eps) {
  return eps.value_or(-1.0);
}

// Replaces squares[i] by the scale g[first + i] / n in float64, for kernels that multiply in float64. Scales within
// float32's normal range are the very float32 ones, so the elements under them come out the same bits either way.
void wideScales(double* squares, const core::Tensor& g, int64_t first, int64_t count, double eps);

}  // namespace weightnorm::cpu
