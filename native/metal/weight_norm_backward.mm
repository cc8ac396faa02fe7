#include "metal/metal_ops.h"
#include "metal/norm_encode.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::WeightNormBackwardOp& op) {
  const NormRule rule = normRule(op.g.dtype, op.eps, NormRule::kWeight);
  encodePlan(encoder, planBackward(core::Nest(op.v.shape, op.reduce), op.v.dtype, rule, threadLimit(encoder)), [&](NormBuffer buffer) {
    switch (buffer) {
      case NormBuffer::kGradW:
        return op.gradW;
      case NormBuffer::kV:
        return op.v;
      case NormBuffer::kG:
        return op.g;
      case NormBuffer::kGradV:
        return op.gradV;
      default:
        return op.gradG;
    }
  });
}

}  // namespace weightnorm::metal
