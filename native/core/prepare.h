#pragma once

#include "core/stream_op.h"

// Validation of every operation, before it is queued: shapes, dtypes, devices and ranges. Each prepare() throws an
// Error that names the argument, or completes the description and makes its outputs (reserving their bytes).
// Thread: the caller's. The names in messages are those of the public functions.
namespace weightnorm::core {

// A new tensor with storage on `device`; throws ERR_MEMORY past its limit.
Tensor makeTensor(const std::shared_ptr<Device>& device, const Shape& shape, DType dtype);
Tensor makeLike(const Tensor& like, const Shape& shape, DType dtype);

// Throws ERR_DEVICE unless both live on one device. `b` may be absent.
void requireSameDevice(const char* aName, const Tensor& a, const char* bName, const Tensor& b);
void requireSameDType(const char* aName, const Tensor& a, const char* bName, const Tensor& b);

void prepare(WeightNormOp& op);
void prepare(WeightNormBackwardOp& op);
void prepare(NormOp& op);
void prepare(ScaleOp& op);
void prepare(ConvOp& op);
void prepare(LinearOp& op);
void prepare(StreamOp& op);
void prepare(MatmulOp& op);
void prepare(ActivationOp& op);
void prepare(ArithmeticOp& op);
void prepare(ReduceOp& op, bool keepDims);
void prepare(TransposeOp& op);
void prepare(PadOp& op);
void prepare(NarrowOp& op, int64_t length);
void prepare(ConcatOp& op);
void prepare(InterpolateOp& op);
void prepare(CastOp& op, DType dtype);

// The checks of prepare(ConvOp&), and the shape of y.
Shape checkConv(const ConvOp& op);

// Checks of a fused activation against a tensor with `channels` channels; `argument` names it in messages.
void checkActivation(const char* argument, const Activation& activation, const Tensor& x, int64_t channels);

}  // namespace weightnorm::core
