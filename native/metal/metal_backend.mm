#include "metal/metal_backend.h"

#include <cstring>
#include <exception>

#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

// Runs `body` in its own pool. Unwinding skips the pop of a pool, so an exception leaves it only after its end.
template <class Body>
void pooled(Body&& body) {
  std::exception_ptr thrown;
  @autoreleasepool {
    try {
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

MetalBackend::MetalBackend(std::shared_ptr<MetalDevice> device)
    : device_(std::move(device)), stream_(device_), encoder_(*device_, stream_) {}

MetalBackend::~MetalBackend() {
  pooled([&] { stream_.close(); });
}

template <class Op>
void MetalBackend::perform(const Op& op) {
  pooled([&] {
    stream_.beginOperation();
    Allocator::Scope scope(stream_, false);
    encode(encoder_, op);
    stream_.endOperation();
  });
}

void MetalBackend::run(const core::WeightNormOp& op) {
  perform(op);
}
void MetalBackend::run(const core::WeightNormBackwardOp& op) {
  perform(op);
}
void MetalBackend::run(const core::NormOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ScaleOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ConvOp& op) {
  perform(op);
}
void MetalBackend::run(const core::LinearOp& op) {
  perform(op);
}
void MetalBackend::run(const core::MatmulOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ActivationOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ArithmeticOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ReduceOp& op) {
  perform(op);
}
void MetalBackend::run(const core::TransposeOp& op) {
  perform(op);
}
void MetalBackend::run(const core::PadOp& op) {
  perform(op);
}
void MetalBackend::run(const core::NarrowOp& op) {
  perform(op);
}
void MetalBackend::run(const core::ConcatOp& op) {
  perform(op);
}
void MetalBackend::run(const core::InterpolateOp& op) {
  perform(op);
}
void MetalBackend::run(const core::CastOp& op) {
  perform(op);
}
void MetalBackend::run(const core::FillOp& op) {
  perform(op);
}
void MetalBackend::run(const core::StreamOp& op) {
  perform(op);
}

void MetalBackend::run(const core::UploadOp& op) {
  pooled([&] {
    device_->requireAlive();
    // Memory no GPU work still uses: the copy is made now, before anything queued earlier has run.
    Allocator::Scope scope(stream_, true);
    std::memcpy(metalBuffer(op.y).contents(), op.data.get(), op.y.bytes());
  });
}

void MetalBackend::read(const core::Tensor& tensor, ReadDone done) {
  pooled([&] { stream_.read(tensor, std::move(done)); });
}

void MetalBackend::flush() {
  pooled([&] { stream_.commit(); });
}

void MetalBackend::fence(FenceDone done) {
  pooled([&] { stream_.fence(std::move(done)); });
}

}  // namespace weightnorm::metal
