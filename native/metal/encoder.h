#pragma once

#import <Metal/Metal.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/ops.h"
#include "metal/metal_buffer.h"
#include "metal/pipelines.h"

namespace weightnorm::metal {

class MetalDevice;
class CommandStream;

// How a dispatch uses a buffer. kWritePart: parts written by several dispatches of one operation that do not overlap,
// so they need no barrier between them.
enum class Access { kRead, kWrite, kWritePart };

// What an operation encodes into. One per queue, used on the queue's thread inside MetalBackend::run only.
class Encoder {
 public:
  Encoder(MetalDevice& device, CommandStream& stream) : device_(device), stream_(stream) {}

  MetalDevice& device() { return device_; }
  CommandStream& stream() { return stream_; }

  // Looks up or compiles kernels/<library>.metal's function.
  const Pipeline& pipeline(const std::string& library, const std::string& function, const Constants& constants = {});

  // Device memory of unspecified content. Dropping it once its dispatches are encoded is right: the memory stays
  // alive and ordered. Not counted in the device's budget. Throws ERR_MEMORY.
  Memory memory(uint64_t bytes);

  // For tables of pointers: the address kernels see as `device T*`. Pair with Dispatch::uses.
  uint64_t address(const core::Tensor& tensor) { return metalBuffer(tensor).handle().gpuAddress; }

  // Work that brings its own encoder (MPS): ordered after everything before and before everything after.
  // `encode` gets the command buffer with no open encoder and must leave none open.
  struct Use {
    const core::Tensor* tensor;
    MetalBuffer* memory;
    Access access;
  };
  void external(std::initializer_list<Use> uses, const std::function<void(id<MTLCommandBuffer>)>& encode);
  // Inside external(): holds an object until the command buffer, which itself retains nothing, completes.
  void keep(id object);

 private:
  MetalDevice& device_;
  CommandStream& stream_;
};

// One dispatch: bind, then threads() or groups(), which encodes it with the barrier it needs. Buffers start at their
// first byte, 256-aligned. An output tensor's memory is allocated when it is bound.
class Dispatch {
 public:
  Dispatch(Encoder& encoder, const Pipeline& pipeline) : encoder_(encoder), pipeline_(pipeline) {}

  // An absent tensor binds a small placeholder that the kernel must not touch.
  Dispatch& input(uint32_t index, const core::Tensor& tensor) { return bind(index, tensor, Access::kRead); }
  Dispatch& output(uint32_t index, const core::Tensor& tensor) { return bind(index, tensor, Access::kWrite); }
  Dispatch& bind(uint32_t index, const core::Tensor& tensor, Access access);
  Dispatch& bind(uint32_t index, MetalBuffer& memory, Access access);

  // Reached through an address in a table rather than an argument.
  Dispatch& uses(const core::Tensor& tensor, Access access);

  // Copied now. At most 4096 bytes.
  template <class T>
  Dispatch& value(uint32_t index, const T& value) {
    static_assert(sizeof(T) <= 4096);
    return bytes(index, &value, sizeof(T));
  }
  // Rounded up to a multiple of 16.
  Dispatch& threadgroupMemory(uint32_t index, size_t size);

  // Exactly `grid` threads (edge threadgroups are smaller), or `count` whole threadgroups. `group` is threads a
  // threadgroup: its product must not pass pipeline.maxThreads. A Dispatch is used once.
  void threads(MTLSize grid, MTLSize group);
  void groups(MTLSize count, MTLSize group);

 private:
  struct Bound {
    static constexpr uint32_t kTable = ~0u;
    uint32_t index;
    MetalBuffer* buffer;
    core::StoragePtr storage;  // null for memory
    Access access;
  };
  struct Bytes {
    uint32_t index;
    std::vector<std::byte> data;
  };
  Dispatch& bytes(uint32_t index, const void* data, size_t size);
  void encode(MTLSize size, MTLSize group, bool whole);

  Encoder& encoder_;
  const Pipeline& pipeline_;
  std::vector<Bound> bound_;
  std::vector<uint32_t> absent_;
  std::vector<Bytes> bytes_;
  std::vector<std::pair<uint32_t, size_t>> threadgroup_;
  uint64_t traffic_ = 0;
};

// Launch shapes for elementwise kernels, whose threads stride over what is beyond the grid.
// linear: `count` items; rows: x runs over `columns`, y over `rows`.
struct Launch {
  MTLSize grid, group;
};
Launch linear(const Pipeline& pipeline, uint64_t count);
Launch rows(const Pipeline& pipeline, uint64_t rowCount, uint64_t columns);

// True when element indices of any of these sizes pass 32 bits (or tests say so).
bool wide(std::initializer_list<int64_t> sizes);

}  // namespace weightnorm::metal
