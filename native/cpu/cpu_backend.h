#pragma once

#include "core/backend.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Runs each operation at once, on the queue's thread and the pool.
class CpuBackend final : public core::Backend {
 public:
  explicit CpuBackend(Pool& pool) : pool_(pool) {}

  void run(const core::WeightNormOp& op) override;
  void run(const core::WeightNormBackwardOp& op) override;
  void run(const core::NormOp& op) override;
  void run(const core::ScaleOp& op) override;
  void run(const core::ConvOp& op) override;
  void run(const core::LinearOp& op) override;
  void run(const core::MatmulOp& op) override;
  void run(const core::ActivationOp& op) override;
  void run(const core::ArithmeticOp& op) override;
  void run(const core::ReduceOp& op) override;
  void run(const core::TransposeOp& op) override;
  void run(const core::PadOp& op) override;
  void run(const core::NarrowOp& op) override;
  void run(const core::ConcatOp& op) override;
  void run(const core::InterpolateOp& op) override;
  void run(const core::CastOp& op) override;
  void run(const core::FillOp& op) override;
  void run(const core::UploadOp& op) override;
  void run(const core::StreamOp& op) override;

  void read(const core::Tensor& tensor, ReadDone done) override;
  void flush() override {}
  void fence(FenceDone done) override { done(nullptr); }

 private:
  Pool& pool_;
};

}  // namespace weightnorm::cpu
