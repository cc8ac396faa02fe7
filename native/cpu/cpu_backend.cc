#include "cpu/cpu_backend.h"

#include "cpu/activation.h"
#include "cpu/arithmetic.h"
#include "cpu/cast.h"
#include "cpu/concat.h"
#include "cpu/conv.h"
#include "cpu/cpu_device.h"
#include "cpu/fill.h"
#include "cpu/interpolate.h"
#include "cpu/linear.h"
#include "cpu/matmul.h"
#include "cpu/narrow.h"
#include "cpu/norm.h"
#include "cpu/pad.h"
#include "cpu/reduce.h"
#include "cpu/scale.h"
#include "cpu/stream.h"
#include "cpu/transpose.h"
#include "cpu/upload.h"
#include "cpu/weight_norm.h"
#include "cpu/weight_norm_backward.h"

namespace weightnorm::cpu {

void CpuBackend::run(const core::WeightNormOp& op) {
  weightNorm(op, pool_);
}
void CpuBackend::run(const core::WeightNormBackwardOp& op) {
  weightNormBackward(op, pool_);
}
void CpuBackend::run(const core::NormOp& op) {
  norm(op, pool_);
}
void CpuBackend::run(const core::ScaleOp& op) {
  scale(op, pool_);
}
void CpuBackend::run(const core::ConvOp& op) {
  conv(op, pool_);
}
void CpuBackend::run(const core::LinearOp& op) {
  linear(op, pool_);
}
void CpuBackend::run(const core::MatmulOp& op) {
  matmul(op, pool_);
}
void CpuBackend::run(const core::ActivationOp& op) {
  activation(op, pool_);
}
void CpuBackend::run(const core::ArithmeticOp& op) {
  arithmetic(op, pool_);
}
void CpuBackend::run(const core::ReduceOp& op) {
  reduce(op, pool_);
}
void CpuBackend::run(const core::TransposeOp& op) {
  transpose(op, pool_);
}
void CpuBackend::run(const core::PadOp& op) {
  pad(op, pool_);
}
void CpuBackend::run(const core::NarrowOp& op) {
  narrow(op, pool_);
}
void CpuBackend::run(const core::ConcatOp& op) {
  concat(op, pool_);
}
void CpuBackend::run(const core::InterpolateOp& op) {
  interpolate(op, pool_);
}
void CpuBackend::run(const core::CastOp& op) {
  cast(op, pool_);
}
void CpuBackend::run(const core::FillOp& op) {
  fill(op, pool_);
}
void CpuBackend::run(const core::UploadOp& op) {
  upload(op, pool_);
}

void CpuBackend::run(const core::StreamOp& op) {
  stream(op, pool_);
}

void CpuBackend::read(const core::Tensor& tensor, ReadDone done) {
  done(dataOf<void>(tensor), nullptr);
}

}  // namespace weightnorm::cpu
