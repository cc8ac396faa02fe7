#pragma once

#include "metal/command_stream.h"
#include "metal/metal_device.h"

namespace weightnorm::metal {

// Executes one queue on the GPU: operations are encoded at once and run when their command buffer is committed.
class MetalBackend final : public core::Backend {
 public:
  explicit MetalBackend(std::shared_ptr<MetalDevice> device);
  // Commits what is encoded and waits for it, so every pending read is answered.
  ~MetalBackend() override;

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
  void flush() override;
  void fence(FenceDone done) override;

 private:
  template <class Op>
  void perform(const Op& op);

  std::shared_ptr<MetalDevice> device_;
  CommandStream stream_;
  Encoder encoder_;
};

}  // namespace weightnorm::metal
