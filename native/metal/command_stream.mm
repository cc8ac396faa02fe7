#include "metal/command_stream.h"

#include "metal/errors.h"
#include "metal/metal_device.h"
#include "metal/overrides.h"

namespace weightnorm::metal {

namespace {

// Metal blocks in commandBuffer at this many uncompleted ones; overrides().maxInFlight keeps us well below.
constexpr NSUInteger kMaxCommandBuffers = 64;

[[noreturn]] void refuse(const char* what) {
  throw core::Error(core::Code::kExecution, core::format("Metal gave no %s", what));
}

}  // namespace

CommandStream::CommandStream(std::shared_ptr<MetalDevice> device) : device_(std::move(device)) {}

void CommandStream::close() {
  drain();
  queue_ = nil;
  fence_ = nil;
  event_ = nil;
  token_ = nil;
}

void CommandStream::beginOperation() {
  device_->requireAlive();
  ++operation_;
}

void CommandStream::endOperation() {
  if (!buffer_) return;
  ++operations_;
  if (operations_ >= overrides().maxOps || bytes_ >= overrides().maxBytes) commit();
}

void CommandStream::requireQueue() {
  if (queue_) return;
  id<MTLDevice> device = device_->handle();
  fence_ = [device newFence];
  event_ = [device newEvent];
  token_ = [device newBufferWithLength:256 options:MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked];
  if (!fence_ || !event_ || !token_) refuse("fence, event or small buffer");
  id<MTLCommandQueue> queue = [device newCommandQueueWithMaxCommandBufferCount:kMaxCommandBuffers];
  if (!queue) refuse("command queue");
  queue.label = @"weightnorm";
  device_->allocator().attach(queue);
  queue_ = queue;
}

void CommandStream::openBuffer() {
  if (buffer_) return;
  requireQueue();
  flight_->waitBelow(static_cast<size_t>(overrides().maxInFlight));
  // Work that completed while this thread waited may have shown that no more will run.
  device_->requireAlive();
  buffer_ = [queue_ commandBufferWithUnretainedReferences];
  if (!buffer_) refuse("command buffer");
  batch_ = std::make_shared<Batch>(device_, ++serial_);
  bytes_ = 0;
  operations_ = 0;
}

// Completed work needs no fence, and failed work may never have updated it; within a command buffer events order.
bool CommandStream::fencePending() {
  return fenceUpdated_ && flight_->busy();
}

void CommandStream::openEncoder() {
  openBuffer();
  if (encoder_) return;
  encoder_ = [buffer_ computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
  if (!encoder_) refuse("command encoder");
  if (fencePending()) [encoder_ waitForFence:fence_];
  touched_.clear();
}

void CommandStream::closeOrPass() {
  if (!encoder_) return passFence();
  [encoder_ updateFence:fence_];
  fenceUpdated_ = true;
  [encoder_ endEncoding];
  encoder_ = nil;
}

// Keeps the chain of fences whole where no encoder of ours has work: an empty one might be left out.
void CommandStream::passFence() {
  id<MTLBlitCommandEncoder> encoder = [buffer_ blitCommandEncoder];
  if (fencePending()) [encoder waitForFence:fence_];
  [encoder fillBuffer:token_ range:NSMakeRange(0, token_.length) value:0];
  [encoder updateFence:fence_];
  [encoder endEncoding];
  fenceUpdated_ = true;
}

bool CommandStream::conflicts(const Use& use) const {
  const auto found = touched_.find((__bridge const void*)use.buffer->handle());
  if (found == touched_.end()) return false;
  const Touch& touch = found->second;
  if (use.access == Access::kRead) return touch.written;
  if (use.access == Access::kWritePart && touch.partOperation == operation_) return false;
  return touch.read || touch.written;
}

void CommandStream::touch(const Use& use) {
  Touch& touch = touched_[(__bridge const void*)use.buffer->handle()];
  const bool fresh = !touch.read && !touch.written;
  touch.read |= use.access == Access::kRead;
  touch.written |= use.access != Access::kRead;
  if (use.access == Access::kWritePart && fresh) touch.partOperation = operation_;
  if (use.access != Access::kWritePart) touch.partOperation = 0;
}

void CommandStream::record(const std::vector<Use>& uses) {
  std::vector<MetalBuffer*> inputs;
  for (const Use& use : uses) {
    use.buffer->timeline = timeline();
    use.buffer->lastUse = batch_->fate->serial;
    if (use.access == Access::kRead) inputs.push_back(use.buffer);
  }
  for (const Use& use : uses) {
    if (use.access != Access::kRead) flight_->derive(batch_->fate, inputs, *use.buffer, use.storage);
  }
}

id<MTLComputeCommandEncoder> CommandStream::prepare(const std::vector<Use>& uses, uint64_t bytes) {
  openEncoder();
  bool conflict = false;
  for (const Use& use : uses) conflict |= conflicts(use);
  if (conflict) {
    [encoder_ memoryBarrierWithScope:MTLBarrierScopeBuffers];
    touched_.clear();
  }
  for (const Use& use : uses) touch(use);
  record(uses);
  bytes_ += bytes;
  return encoder_;
}

// A foreign encoder knows nothing of our fence, so the command buffer itself orders it.
void CommandStream::orderByEvent() {
  [buffer_ encodeSignalEvent:event_ value:++eventValue_];
  [buffer_ encodeWaitForEvent:event_ value:eventValue_];
}

void CommandStream::external(const std::vector<Use>& uses, const std::function<void(id<MTLCommandBuffer>)>& encode) {
  openBuffer();
  closeOrPass();
  orderByEvent();
  record(uses);
  encode(buffer_);
  orderByEvent();
  for (const Use& use : uses) bytes_ += use.buffer->bytes();
}

void CommandStream::keep(id object) {
  if (batch_) batch_->kept.push_back(object);
}

void CommandStream::commit() {
  if (!buffer_) return;
  closeOrPass();
  const BatchPtr batch = std::move(batch_);
  const std::shared_ptr<Flight> flight = flight_;
  flight->add(batch);
  [buffer_ addCompletedHandler:^(id<MTLCommandBuffer> completed) {
    @autoreleasepool {
      core::FailurePtr failure;
      if (completed.status != MTLCommandBufferStatusCompleted) {
        const core::Error error = commandBufferError(completed.error);
        if (error.code() == core::Code::kDeviceLost) batch->device->lose(error);
        failure = std::make_shared<core::Failure>(error);
      }
      flight->finish(batch, std::move(failure));
    }
  }];
  [buffer_ commit];
  buffer_ = nil;
}

void CommandStream::drain() {
  commit();
  flight_->waitBelow(1);
}

void CommandStream::read(const core::Tensor& tensor, core::Backend::ReadDone done) {
  if (flight_->read(tensor, std::move(done), batch_.get())) commit();
}

void CommandStream::fence(core::Backend::FenceDone done) {
  commit();
  flight_->fence(std::move(done));
}

}  // namespace weightnorm::metal
