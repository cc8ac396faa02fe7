#include "metal/metal_ops.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::CastOp& op) {
  const auto count = static_cast<uint64_t>(op.x.size());
  const Pipeline& pipeline = encoder.pipeline("cast", kernelName(kernelName("cast", op.x.dtype), op.y.dtype));
  const Launch launch = linear(pipeline, (count + 3) / 4);
  Dispatch(encoder, pipeline).input(0, op.x).output(1, op.y).value(2, count).threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
