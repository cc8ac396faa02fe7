#include "cpu/cpu_device.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

#include "core/environment.h"
#include "core/sanitizer.h"
#include "core/spin.h"
#include "cpu/cpu_backend.h"
#include "cpu/simd/isa.h"
#include "cpu/system.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace weightnorm::cpu {

namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kReadablePastEnd = 64;
constexpr uint64_t kSmallest = 256;
constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kAddressable = uint64_t{1} << 47;
constexpr uint64_t kLargestCache = uint64_t{1} << 30;

// Eight classes an octave: at most an eighth of a block is unused.
uint64_t classOf(uint64_t bytes) {
  bytes = std::max(bytes, kSmallest);
  const uint64_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

void* systemAllocate(uint64_t bytes) {
  const uint64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes + kReadablePastEnd) != 0) return nullptr;
#if defined(__linux__)
  // Fewer page faults and translation misses; only advice.
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

}  // namespace

class CpuDevice::Buffer final : public CpuBuffer {
 public:
  Buffer(std::shared_ptr<CpuDevice> device, Block block) : device_(std::move(device)), block_(block) {}
  ~Buffer() override { device_->giveBack(block_); }
  std::byte* data() override { return static_cast<std::byte*>(block_.memory); }

 private:
  std::shared_ptr<CpuDevice> device_;
  Block block_;
};

CpuDevice::CpuDevice(uint64_t memoryLimit, Pool& pool)
    : Device(memoryLimit), cacheLimit_(std::min(kLargestCache, memoryLimit / 4)), pool_(pool) {
  info_.type = "cpu";
  info_.name = processorName();
  info_.memoryBytes = usableMemory();
  info_.features = {simd::name(simd::active()), core::format("threads=%d", pool.threads())};
}

CpuDevice::~CpuDevice() {
  trim();
}

std::unique_ptr<core::Buffer> CpuDevice::allocate(uint64_t bytes) {
  if (bytes > kAddressable) {
    throw core::Error(core::Code::kMemory, core::format("no memory for %llu bytes", static_cast<unsigned long long>(bytes)));
  }
  const Block block{obtain(classOf(bytes)), classOf(bytes)};
  core::permit(block.memory, bytes + kReadablePastEnd);
  core::forbid(static_cast<std::byte*>(block.memory) + bytes + kReadablePastEnd, block.bytes - bytes);
  auto self = std::static_pointer_cast<CpuDevice>(shared_from_this());
  return std::make_unique<Buffer>(std::move(self), block);
}

void* CpuDevice::obtain(uint64_t bytes) {
  {
    const std::unique_lock lock = core::acquire(mutex_);
    const auto found = byClass_.find(bytes);
    if (found != byClass_.end()) {
      // The last one given back is the likeliest to be in the processor's cache.
      const Blocks::iterator block = found->second.back();
      void* const memory = block->memory;
      found->second.pop_back();
      if (found->second.empty()) byClass_.erase(found);
      free_.erase(block);
      cached_ -= bytes;
      return memory;
    }
  }
  void* memory = systemAllocate(bytes);
  if (!memory) {
    trim();
    memory = systemAllocate(bytes);
  }
  if (!memory) {
    throw core::Error(core::Code::kMemory, core::format("the system has no memory for %llu bytes", static_cast<unsigned long long>(bytes)));
  }
  return memory;
}

// Moves the oldest cached block to `dropped`. Needs the mutex.
void CpuDevice::dropOldest(Blocks& dropped) {
  const Blocks::iterator oldest = free_.begin();
  const auto found = byClass_.find(oldest->bytes);
  std::erase(found->second, oldest);
  if (found->second.empty()) byClass_.erase(found);
  cached_ -= oldest->bytes;
  dropped.splice(dropped.end(), free_, oldest);
}

void CpuDevice::giveBack(Block block) {
  core::forbid(block.memory, block.bytes + kReadablePastEnd);
  Blocks dropped;
  {
    const std::unique_lock lock = core::acquire(mutex_);
    byClass_[block.bytes].push_back(free_.insert(free_.end(), block));
    cached_ += block.bytes;
    while (cached_ > cacheLimit_) dropOldest(dropped);
  }
  for (const Block& old : dropped) std::free(old.memory);
}

std::byte* CpuDevice::hostMemory(core::Storage& storage) {
  return static_cast<CpuBuffer&>(storage.memory()).data();
}

uint64_t CpuDevice::cachedBytes() const {
  const std::unique_lock lock = core::acquire(mutex_);
  return cached_;
}

void CpuDevice::trim() {
  Blocks dropped;
  {
    const std::unique_lock lock = core::acquire(mutex_);
    dropped.swap(free_);
    byClass_.clear();
    cached_ = 0;
  }
  for (const Block& old : dropped) std::free(old.memory);
}

std::unique_ptr<core::Backend> CpuDevice::createBackend() {
  return std::make_unique<CpuBackend>(pool_);
}

std::shared_ptr<core::Device> cpuDevice() {
  static const auto* const device = [] {
    const uint64_t limit = core::environmentWhole("WEIGHTNORM_MEMORY_LIMIT", "bytes", 1, UINT64_MAX).value_or(usableMemory() / 4 * 3);
    return new std::shared_ptr<core::Device>(std::make_shared<CpuDevice>(limit, Pool::shared()));
  }();
  return *device;
}

}  // namespace weightnorm::cpu
