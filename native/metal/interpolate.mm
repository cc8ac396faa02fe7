#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

struct InterpolateParams {
  uint64_t count, factor;
};

}  // namespace

void encode(Encoder& encoder, const core::InterpolateOp& op) {
  const auto count = static_cast<uint64_t>(op.y.size());
  const Pipeline& pipeline =
      encoder.pipeline("interpolate", "interpolate_" + std::to_string(core::sizeOf(op.x.dtype)), Constants().set(0, wide({op.y.size()})));
  const Launch launch = linear(pipeline, count);
  Dispatch(encoder, pipeline)
      .input(0, op.x)
      .output(1, op.y)
      .value(2, InterpolateParams{count, static_cast<uint64_t>(op.factor)})
      .threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
