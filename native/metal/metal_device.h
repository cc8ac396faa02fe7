#pragma once

#import <Metal/Metal.h>

#include <memory>
#include <mutex>
#include <optional>

#include "core/backend.h"
#include "metal/allocator.h"
#include "metal/pipelines.h"

namespace weightnorm::metal {

// One Apple GPU: memory, pipelines and what is known of it, shared by all queues. All methods on any thread; the last
// owner may be a completion handler.
class MetalDevice final : public core::Device {
 public:
  // `memoryLimit` in bytes bounds live storages.
  MetalDevice(id<MTLDevice> handle, core::DeviceInfo info, uint64_t memoryLimit);
  ~MetalDevice() override;

  const core::DeviceInfo& info() const override { return info_; }
  std::unique_ptr<core::Buffer> allocate(uint64_t bytes) override { return allocator_->allocate(bytes); }
  uint64_t cachedBytes() const override { return allocator_->cachedBytes(); }
  void trim() override { allocator_->trim(); }
  std::unique_ptr<core::Backend> createBackend() override;

  id<MTLDevice> handle() const { return handle_; }
  Allocator& allocator() { return *allocator_; }
  Pipelines& pipelines() { return *pipelines_; }
  // 256 bytes that stand in for absent arguments.
  id<MTLBuffer> placeholder() const { return placeholder_; }

  // The system refuses further work: everything from now on throws `error`, whose code is ERR_DEVICE_LOST.
  void lose(const core::Error& error);
  void requireAlive() const;

 private:
  id<MTLDevice> handle_;
  core::DeviceInfo info_;
  std::shared_ptr<Allocator> allocator_;
  std::unique_ptr<Pipelines> pipelines_;
  id<MTLBuffer> placeholder_;
  mutable std::mutex mutex_;
  std::optional<core::Error> lost_;
};

}  // namespace weightnorm::metal
