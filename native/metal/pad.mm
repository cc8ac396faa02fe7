#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

struct PadParams {
  uint64_t rows;
  int64_t length, left, padded;
};

}  // namespace

void encode(Encoder& encoder, const core::PadOp& op) {
  const int last = op.x.shape.rank() - 1;
  const int64_t length = op.x.shape[last], padded = op.y.shape[last];
  const PadParams params{static_cast<uint64_t>(op.x.size() / length), length, op.left, padded};
  const Pipeline& pipeline =
      encoder.pipeline("pad", "pad_" + std::to_string(core::sizeOf(op.x.dtype)), Constants().set(0, static_cast<uint32_t>(op.mode)));
  const Launch launch = rows(pipeline, params.rows, static_cast<uint64_t>(padded));
  Dispatch(encoder, pipeline).input(0, op.x).output(1, op.y).value(2, params).threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
