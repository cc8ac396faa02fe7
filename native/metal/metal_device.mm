#include "metal/metal_device.h"

#include "metal/metal_backend.h"

namespace weightnorm::metal {

MetalDevice::MetalDevice(id<MTLDevice> handle, core::DeviceInfo info, uint64_t memoryLimit)
    : core::Device(memoryLimit),
      handle_(handle),
      info_(std::move(info)),
      allocator_(std::make_shared<Allocator>(handle, memoryLimit)),
      pipelines_(std::make_unique<Pipelines>(handle)),
      placeholder_([handle newBufferWithLength:256 options:MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked]) {}

// The last owner's thread may have no pool.
MetalDevice::~MetalDevice() {
  @autoreleasepool {
    pipelines_.reset();
    allocator_.reset();
    placeholder_ = nil;
    handle_ = nil;
  }
}

std::unique_ptr<core::Backend> MetalDevice::createBackend() {
  return std::make_unique<MetalBackend>(std::static_pointer_cast<MetalDevice>(shared_from_this()));
}

void MetalDevice::lose(const core::Error& error) {
  std::lock_guard lock(mutex_);
  if (!lost_) lost_ = error;
}

void MetalDevice::requireAlive() const {
  std::lock_guard lock(mutex_);
  if (lost_) throw *lost_;
}

}  // namespace weightnorm::metal
