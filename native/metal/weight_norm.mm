#include "metal/metal_ops.h"
#include "metal/norm_encode.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::WeightNormOp& op) {
  encodeNorm(encoder, op.v, op.g, op.w, op.reduce, op.eps, NormRule::kWeight);
}

}  // namespace weightnorm::metal
