#include "metal/stream.h"

#include <string>

#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

struct StreamValue {  // kernels/stream.metal
  StreamPart part;
  uint64_t rows, channels, fromPitch, fromStart;
};

uint64_t number(int64_t value) {
  return static_cast<uint64_t>(value);
}

StreamPart partOf(const core::StreamOp& op, const core::StreamStep& step) {
  const uint64_t before = op.before ? number(op.before.size() / op.before.shape[0]) : 0;
  return {before, number(step.headAt), number(op.kept), number(step.keepAt), number(step.head), number(step.fresh), number(step.keep)};
}

void encodeValue(Encoder& encoder, const core::StreamOp& op, const core::StreamStep& step) {
  using Kind = core::StreamStep::Kind;
  StreamValue p{partOf(op, step), number(step.value.shape[0] * step.channels), number(step.channels), number(step.fresh), 0};
  core::Tensor from;
  if (step.kind == Kind::kInput) from = op.x;
  if (step.kind == Kind::kCopy) {
    from = step.conv.x;
    p.fromPitch = number(step.conv.xRows.pitch);
    p.fromStart = number(step.conv.xRows.start);
  }
  const Pipeline& pipeline = encoder.pipeline("stream", "stream_value_" + std::to_string(core::sizeOf(step.value.dtype)));
  const Launch launch = linear(pipeline, number(step.value.size()));
  Dispatch(encoder, pipeline)
      .input(0, from)
      .input(1, step.head > 0 ? op.before : core::Tensor{})
      .output(2, step.value)
      .bind(3, step.keep > 0 ? op.after : core::Tensor{}, Access::kWritePart)
      .value(4, p)
      .threads(launch.grid, launch.group);
}

}  // namespace

// One dispatch a value. All of a push is one operation, so it is never cut by the limits of a command buffer.
void encode(Encoder& encoder, const core::StreamOp& op) {
  for (const core::StreamStep& step : op.steps) {
    if (step.kind == core::StreamStep::Kind::kConv) {
      encodeConv(encoder, step.conv, partOf(op, step), step.head > 0 ? op.before : core::Tensor{},
                 step.keep > 0 ? op.after : core::Tensor{});
    } else {
      encodeValue(encoder, op, step);
    }
  }
}

}  // namespace weightnorm::metal
