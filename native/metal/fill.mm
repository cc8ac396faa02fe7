#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

struct FillParams {
  uint64_t count;
  float value;
  uint32_t unused;
};

}  // namespace

void encode(Encoder& encoder, const core::FillOp& op) {
  const auto count = static_cast<uint64_t>(op.y.size());
  const Pipeline& pipeline = encoder.pipeline("fill", kernelName("fill", op.y.dtype));
  const Launch launch = linear(pipeline, (count + 3) / 4);
  Dispatch(encoder, pipeline).output(0, op.y).value(1, FillParams{count, op.value, 0}).threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
