#pragma once

#import <Metal/Metal.h>

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "metal/encoder.h"
#include "metal/flight.h"

namespace weightnorm::metal {

// Encodes one queue's work: an open command buffer with one concurrent compute encoder, a fence from each encoder to
// the next, barriers where dispatches conflict. Lives on the queue's thread; close() before destroying it.
class CommandStream {
 public:
  explicit CommandStream(std::shared_ptr<MetalDevice> device);
  CommandStream(const CommandStream&) = delete;
  CommandStream& operator=(const CommandStream&) = delete;

  const std::shared_ptr<Timeline>& timeline() const { return flight_->timeline(); }

  // Around one operation. endOperation commits when the open command buffer is full.
  void beginOperation();
  void endOperation();

  struct Use {
    MetalBuffer* buffer;
    core::StoragePtr storage;  // null for memory
    Access access;
  };
  // An encoder ready for one dispatch with these uses: opened, behind a barrier if one is needed, uses recorded.
  // `bytes` counts towards the byte limit. Throws ERR_DEVICE_LOST, ERR_EXECUTION.
  id<MTLComputeCommandEncoder> prepare(const std::vector<Use>& uses, uint64_t bytes);
  void external(const std::vector<Use>& uses, const std::function<void(id<MTLCommandBuffer>)>& encode);

  // Commits, waits until everything is done and answered, and lets go of the Metal objects.
  void close();

  // Holds `object` until the open command buffer completes.
  void keep(id object);

  void commit();
  // Commits and waits until everything is done and answered.
  void drain();
  void read(const core::Tensor& tensor, core::Backend::ReadDone done);
  void fence(core::Backend::FenceDone done);

 private:
  struct Touch {
    bool read = false, written = false;
    uint64_t partOperation = 0;  // the operation whose disjoint parts are all that was written
  };

  void requireQueue();
  void openBuffer();
  void openEncoder();
  bool fencePending();
  void passFence();
  void closeOrPass();
  bool conflicts(const Use& use) const;
  void touch(const Use& use);
  void record(const std::vector<Use>& uses);
  void orderByEvent();

  std::shared_ptr<MetalDevice> device_;
  std::shared_ptr<Flight> flight_ = std::make_shared<Flight>();
  id<MTLCommandQueue> queue_;
  id<MTLFence> fence_;
  id<MTLEvent> event_;
  id<MTLBuffer> token_;  // written by passFence alone
  id<MTLCommandBuffer> buffer_;
  id<MTLComputeCommandEncoder> encoder_;
  BatchPtr batch_;
  std::unordered_map<const void*, Touch> touched_;  // since the last barrier
  uint64_t serial_ = 0, operation_ = 0, eventValue_ = 0;
  uint64_t bytes_ = 0;
  int operations_ = 0;
  bool fenceUpdated_ = false;
};

}  // namespace weightnorm::metal
