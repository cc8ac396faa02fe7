#pragma once

#include "metal/encoder.h"

namespace weightnorm::metal {

// Whether MPSMatrixMultiplication should form an [m, k] x [k, n] product of this dtype: large float32 ones only, since its result has
// the inputs' dtype (a half product would overflow before the scale is applied) and it aborts on bfloat16. WEIGHTNORM_MPS=0: never.
bool mpsServes(Encoder& encoder, core::DType dtype, int64_t m, int64_t n, int64_t k);

// result [m, n] = a [m, k] b, where b is [k, n], or [n, k] if transposeB; all float32, row-major, from their first byte.
void mpsProduct(Encoder& encoder, const core::Tensor& a, const core::Tensor& b, bool transposeB, const Encoder::Use& result, int64_t m,
                int64_t n, int64_t k);

}  // namespace weightnorm::metal
