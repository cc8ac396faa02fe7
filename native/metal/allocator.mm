#include "metal/allocator.h"

#include <unistd.h>

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "metal/command_stream.h"
#include "metal/overrides.h"

namespace weightnorm::metal {

namespace {

constexpr uint64_t kSmallest = 256;
constexpr uint64_t kLarge = 1 << 20;

thread_local Allocator::Scope* current = nullptr;

}  // namespace

uint64_t sizeClass(uint64_t bytes) {
  if (overrides().exactSizes) return bytes;
  if (bytes <= kSmallest) return kSmallest;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t step = bytes < kLarge ? std::bit_floor(bytes - 1) / 4 : page;
  return (bytes + step - 1) / step * step;
}

MetalBuffer::MetalBuffer(std::shared_ptr<Allocator> allocator, id<MTLBuffer> handle) : allocator_(std::move(allocator)), handle_(handle) {}

MetalBuffer::~MetalBuffer() {
  allocator_->giveBack(handle_, std::move(timeline), lastUse);
}

Allocator::Scope::Scope(CommandStream& stream, bool host) : stream_(stream), host_(host), outer_(current) {
  current = this;
}

Allocator::Scope::~Scope() {
  current = outer_;
}

Allocator::Allocator(id<MTLDevice> device, uint64_t limit) : device_(device), limit_(limit) {
  if (@available(macOS 15.0, *)) {
    if (!systemAtLeast(15)) return;
    MTLResidencySetDescriptor* descriptor = [[MTLResidencySetDescriptor alloc] init];
    descriptor.label = @"weightnorm";
    // Without a set the system pages by use, as before macOS 15: slower at worst.
    id<MTLResidencySet> set = [device newResidencySetWithDescriptor:descriptor error:nil];
    [set requestResidency];
    residency_ = set;
  }
}

Allocator::~Allocator() {
  if (@available(macOS 15.0, *)) {
    @autoreleasepool {
      id<MTLResidencySet> set = residency_;
      [set endResidency];
      [set removeAllAllocations];
      [set commit];
    }
  }
}

void Allocator::attach(id<MTLCommandQueue> queue) {
  if (@available(macOS 15.0, *)) {
    if (residency_) [queue addResidencySet:(id<MTLResidencySet>)residency_];
  }
}

Memory Allocator::allocate(uint64_t bytes) {
  if (bytes > device_.maxBufferLength) {
    throw core::Error(core::Code::kMemory,
                      core::format("%llu bytes are needed in one piece; this GPU's buffers hold at most %llu",
                                   static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(device_.maxBufferLength)));
  }
  const uint64_t size = std::min<uint64_t>(sizeClass(bytes), device_.maxBufferLength);
  const Timeline* mine = current && !current->host_ ? current->stream_.timeline().get() : nullptr;
  id<MTLBuffer> handle = takeCached(size, mine);
  if (!handle) handle = create(size);
  if (!handle) {
    trim();
    handle = create(size);
  }
  if (!handle && current) {
    // The last resort: memory still used by this queue's own work comes back when that is done.
    current->stream_.drain();
    trim();
    handle = create(size);
  }
  if (!handle) {
    throw core::Error(core::Code::kMemory, core::format("the GPU has no memory for %llu bytes: dispose tensors or process less at once",
                                                        static_cast<unsigned long long>(size)));
  }
  return std::make_unique<MetalBuffer>(shared_from_this(), handle);
}

id<MTLBuffer> Allocator::takeCached(uint64_t bytes, const Timeline* mine) {
  std::lock_guard lock(mutex_);
  const uint64_t most = bytes < kLarge ? bytes : bytes + bytes / 8;
  for (auto it = bySize_.lower_bound(bytes); it != bySize_.end() && it->first <= most; ++it) {
    const Entries::iterator entry = it->second;
    if (!(mine && entry->timeline.get() == mine) && !entry->idle()) continue;
    if (entry->discard) --discarded_;
    id<MTLBuffer> handle = entry->handle;
    if (overrides().recycled && entry->idle()) overrides().recycled(handle.contents, entry->bytes);
    cached_ -= entry->bytes;
    bySize_.erase(it);
    cache_.erase(entry);
    return handle;
  }
  return nil;
}

id<MTLBuffer> Allocator::create(uint64_t bytes) {
  Dropped dropped;
  {
    std::lock_guard lock(mutex_);
    if (allocated_ + bytes > limit_) shrinkCache(cached_ - std::min(cached_, allocated_ + bytes - limit_), &dropped);
  }
  release(dropped);
  id<MTLBuffer> handle = [device_ newBufferWithLength:bytes options:MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked];
  if (!handle) return nil;
  std::lock_guard lock(mutex_);
  allocated_ += handle.length;
  if (@available(macOS 15.0, *)) {
    @autoreleasepool {
      id<MTLResidencySet> set = residency_;
      [set addAllocation:handle];
      [set commit];
    }
  }
  return handle;
}

void Allocator::giveBack(id<MTLBuffer> handle, std::shared_ptr<Timeline> timeline, uint64_t lastUse) {
  Dropped dropped;
  {
    std::lock_guard lock(mutex_);
    const uint64_t bytes = handle.length;
    cache_.push_back({handle, std::move(timeline), lastUse, bytes});
    bySize_.emplace(bytes, std::prev(cache_.end()));
    cached_ += bytes;
    if (cached_ > limit_ / 4) shrinkCache(limit_ / 4, &dropped);
  }
  release(dropped);
}

Allocator::Entries::iterator Allocator::forget(Entries::iterator entry, Dropped* dropped) {
  auto range = bySize_.equal_range(entry->bytes);
  for (auto it = range.first; it != range.second; ++it) {
    if (it->second == entry) {
      bySize_.erase(it);
      break;
    }
  }
  cached_ -= entry->bytes;
  allocated_ -= entry->bytes;
  if (entry->discard) --discarded_;
  dropped->push_back(entry->handle);
  return cache_.erase(entry);
}

void Allocator::shrinkCache(uint64_t target, Dropped* dropped) {
  for (auto entry = cache_.begin(); entry != cache_.end() && cached_ > target;) {
    entry = entry->idle() ? forget(entry, dropped) : std::next(entry);
  }
}

void Allocator::release(Dropped& dropped) {
  if (dropped.empty()) return;
  // Buffers come back on threads that have no pool.
  @autoreleasepool {
    if (@available(macOS 15.0, *)) {
      if (residency_) {
        std::lock_guard lock(mutex_);
        id<MTLResidencySet> set = residency_;
        for (id<MTLBuffer> handle : dropped) [set removeAllocation:handle];
        [set commit];
      }
    }
    dropped.clear();
  }
}

uint64_t Allocator::cachedBytes() const {
  std::lock_guard lock(mutex_);
  return cached_;
}

void Allocator::trim() {
  Dropped dropped;
  {
    std::lock_guard lock(mutex_);
    for (auto entry = cache_.begin(); entry != cache_.end();) {
      if (entry->idle()) {
        entry = forget(entry, &dropped);
        continue;
      }
      if (!entry->discard) ++discarded_;
      entry->discard = true;
      ++entry;
    }
  }
  release(dropped);
}

void Allocator::collect() {
  Dropped dropped;
  std::unique_lock lock(mutex_);
  if (discarded_ == 0) return;
  for (auto entry = cache_.begin(); entry != cache_.end();) {
    entry = entry->discard && entry->idle() ? forget(entry, &dropped) : std::next(entry);
  }
  lock.unlock();
  release(dropped);
}

}  // namespace weightnorm::metal
