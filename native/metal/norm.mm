#include "metal/metal_ops.h"
#include "metal/norm_encode.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::NormOp& op) {
  encodeNorm(encoder, op.v, {}, op.n, op.reduce, std::nullopt, NormRule::kNorm);
}

}  // namespace weightnorm::metal
