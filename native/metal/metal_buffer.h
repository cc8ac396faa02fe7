#pragma once

#import <Metal/Metal.h>

#include <vector>

#include "metal/fate.h"

namespace weightnorm::metal {

class Allocator;

// Shared-storage memory, 256-aligned, hazards tracked by us. Destroying it (any thread) hands it back to the cache,
// stamped with its last use: the same queue may take it again at once, anyone else when that use has completed.
class MetalBuffer final : public core::Buffer {
 public:
  MetalBuffer(std::shared_ptr<Allocator> allocator, id<MTLBuffer> handle);
  ~MetalBuffer() override;
  MetalBuffer(const MetalBuffer&) = delete;
  MetalBuffer& operator=(const MetalBuffer&) = delete;

  id<MTLBuffer> handle() const { return handle_; }
  void* contents() const { return handle_.contents; }
  uint64_t bytes() const { return handle_.length; }

  // [queue] The command buffer that used it last, and those its present content depends on.
  std::shared_ptr<Timeline> timeline;
  uint64_t lastUse = 0;
  std::vector<FatePtr> fates;

 private:
  std::shared_ptr<Allocator> allocator_;
  id<MTLBuffer> handle_;
};

// Memory beside an operation's tensors.
using Memory = std::unique_ptr<MetalBuffer>;

// Every core::Buffer on a Metal device is a MetalBuffer.
inline MetalBuffer& metalBuffer(const core::Tensor& tensor) {
  return static_cast<MetalBuffer&>(tensor.storage->buffer());
}

}  // namespace weightnorm::metal
