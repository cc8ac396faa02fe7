#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/backend.h"
#include "metal/metal_buffer.h"

namespace weightnorm::metal {

class MetalDevice;

// One committed or open command buffer, as its completion needs it. Keeps the device, so its memory and pipelines, alive.
struct Batch {
  struct Read {
    core::Tensor tensor;
    core::Backend::ReadDone done;
  };
  Batch(std::shared_ptr<MetalDevice> owner, uint64_t serial) : device(std::move(owner)), fate(std::make_shared<Fate>(serial)) {}
  std::shared_ptr<MetalDevice> device;
  FatePtr fate;
  std::vector<Read> reads;
  std::vector<core::Backend::FenceDone> fences;
  std::vector<id> kept;  // objects the command buffer refers to that nothing else owns
  bool finished = false;
  core::FailurePtr failure;
};
using BatchPtr = std::shared_ptr<Batch>;

// The uncompleted command buffers of one queue, oldest first. Completion handlers may come in any order and on any
// thread; batches retire in commit order, on whichever thread finds the oldest finished. Outlives the queue.
class Flight {
 public:
  const std::shared_ptr<Timeline>& timeline() const { return timeline_; }

  void add(BatchPtr batch);
  // From a completion handler: the command buffer ended, with a failure or null. Retires what can be retired.
  void finish(const BatchPtr& batch, core::FailurePtr failure);

  // Waits until fewer than `count` batches are uncompleted; never called on a handler's thread.
  void waitBelow(size_t count);

  // Records that `output` now also depends on `batch` and on all that `inputs` depend on. `storage`: whose memory
  // `output` is, or null; it fails with any of them.
  void derive(const FatePtr& batch, const std::vector<MetalBuffer*>& inputs, MetalBuffer& output, const core::StoragePtr& storage);
  // Anything committed and not yet retired.
  bool busy();

  // Answers when `tensor` is computed. `open`: the batch being encoded, or null. True: the open one must be committed.
  bool read(const core::Tensor& tensor, core::Backend::ReadDone done, Batch* open);
  void fence(core::Backend::FenceDone done);

 private:
  void retire(std::unique_lock<std::mutex>& lock, const BatchPtr& batch);
  core::FailurePtr takeFailure();

  const std::shared_ptr<Timeline> timeline_ = std::make_shared<Timeline>();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<BatchPtr> batches_;
  std::vector<core::FailurePtr> failures_;  // of the hardware, not yet told to a fence
  bool retiring_ = false;
};

}  // namespace weightnorm::metal
