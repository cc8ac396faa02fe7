#pragma once

#include "core/stream_op.h"
#include "metal/encoder.h"

namespace weightnorm::metal {

struct StreamPart {  // kernels/stream.h
  uint64_t beforePitch, headAt, afterPitch, keepAt, head, fresh, keep;
};

// A convolution (conv.mm) whose dispatch also takes the head of its value from the state before and hands its end to the state after.
void encodeConv(Encoder& encoder, const core::ConvOp& op, const StreamPart& part, const core::Tensor& before, const core::Tensor& after);

}  // namespace weightnorm::metal
