#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/backend.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Memory of the CPU device: 64-byte aligned, 64 readable bytes past the end.
class CpuBuffer : public core::Buffer {
 public:
  virtual std::byte* data() = 0;
};

// The tensor's first element. [queue]
template <class T>
T* dataOf(const core::Tensor& tensor) {
  return reinterpret_cast<T*>(static_cast<CpuBuffer&>(tensor.storage->buffer()).data());
}

// The processor: caching allocator and facts. All methods on any thread.
class CpuDevice final : public core::Device {
 public:
  // `memoryLimit` in bytes bounds live storages; a quarter of it, at most 1 GiB, bounds the cache.
  CpuDevice(uint64_t memoryLimit, Pool& pool);
  ~CpuDevice() override;

  const core::DeviceInfo& info() const override { return info_; }
  std::unique_ptr<core::Buffer> allocate(uint64_t bytes) override;
  std::byte* hostMemory(core::Storage& storage) override;
  uint64_t cachedBytes() const override;
  void trim() override;
  std::unique_ptr<core::Backend> createBackend() override;

 private:
  class Buffer;
  struct Block {
    void* memory;
    uint64_t bytes;  // its size class
  };
  using Blocks = std::list<Block>;

  void* obtain(uint64_t bytes);
  void giveBack(Block block);
  void dropOldest(Blocks& dropped);

  const uint64_t cacheLimit_;
  Pool& pool_;
  core::DeviceInfo info_;
  mutable std::mutex mutex_;
  Blocks free_;  // in the order they were given back
  std::map<uint64_t, std::vector<Blocks::iterator>> byClass_;
  uint64_t cached_ = 0;
};

// The process's CPU device, limited by WEIGHTNORM_MEMORY_LIMIT bytes or else to 75 % of the usable memory. Never
// destroyed. Throws ERR_ARGUMENT where that variable or WEIGHTNORM_NUM_THREADS has a bad value.
std::shared_ptr<core::Device> cpuDevice();

}  // namespace weightnorm::cpu
