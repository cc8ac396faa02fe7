#pragma once

#include "core/stream_op.h"
#include "metal/encoder.h"

// One function an operation, each in the .mm file of its name. They validate nothing (core did), wait for nothing,
// and throw core::Error when memory or a pipeline cannot be had.
namespace weightnorm::metal {

void encode(Encoder& encoder, const core::WeightNormOp& op);
void encode(Encoder& encoder, const core::WeightNormBackwardOp& op);
void encode(Encoder& encoder, const core::NormOp& op);
void encode(Encoder& encoder, const core::ScaleOp& op);
void encode(Encoder& encoder, const core::ConvOp& op);
void encode(Encoder& encoder, const core::LinearOp& op);
void encode(Encoder& encoder, const core::MatmulOp& op);
void encode(Encoder& encoder, const core::ActivationOp& op);
void encode(Encoder& encoder, const core::ArithmeticOp& op);
void encode(Encoder& encoder, const core::ReduceOp& op);
void encode(Encoder& encoder, const core::TransposeOp& op);
void encode(Encoder& encoder, const core::PadOp& op);
void encode(Encoder& encoder, const core::NarrowOp& op);
void encode(Encoder& encoder, const core::ConcatOp& op);
void encode(Encoder& encoder, const core::InterpolateOp& op);
void encode(Encoder& encoder, const core::CastOp& op);
void encode(Encoder& encoder, const core::FillOp& op);
void encode(Encoder& encoder, const core::StreamOp& op);

}  // namespace weightnorm::metal
