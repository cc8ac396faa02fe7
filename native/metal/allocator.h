#pragma once

#import <Metal/Metal.h>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "metal/metal_buffer.h"

namespace weightnorm::metal {

class CommandStream;

// Caching allocator of one GPU: shared storage, hazard tracking off, whole MTLBuffers in size classes. A buffer handed
// back while work still uses it stays busy until then, except for the queue that used it, whose next work is ordered
// after. Any thread.
class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  // `limit` in bytes bounds what the cache may add to the memory in use; a quarter of it bounds the cache itself.
  Allocator(id<MTLDevice> device, uint64_t limit);
  ~Allocator();

  // At least `bytes` bytes, for the GPU or, under a host Scope, for the CPU to write at once. Throws ERR_MEMORY after
  // the cache was given back and, on a queue's thread, that queue's work was waited for.
  Memory allocate(uint64_t bytes);
  void giveBack(id<MTLBuffer> handle, std::shared_ptr<Timeline> timeline, uint64_t lastUse);

  uint64_t cachedBytes() const;
  // Releases idle cached buffers at once and busy ones when their use completes.
  void trim();
  // Releases what trim() had to leave; called as command buffers complete.
  void collect();
  // Makes the allocations of this device resident for `queue` (macOS 15).
  void attach(id<MTLCommandQueue> queue);

  // Who allocates on this thread: set around every operation of a queue.
  class Scope {
   public:
    Scope(CommandStream& stream, bool host);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class Allocator;
    CommandStream& stream_;
    bool host_;
    Scope* outer_;
  };

 private:
  struct Entry {
    id<MTLBuffer> handle;
    std::shared_ptr<Timeline> timeline;
    uint64_t lastUse;
    uint64_t bytes;
    bool discard = false;
    bool idle() const { return !timeline || timeline->completed() >= lastUse; }
  };
  using Entries = std::list<Entry>;
  using Dropped = std::vector<id<MTLBuffer>>;

  id<MTLBuffer> takeCached(uint64_t bytes, const Timeline* mine);
  id<MTLBuffer> create(uint64_t bytes);
  Entries::iterator forget(Entries::iterator entry, Dropped* dropped);
  void shrinkCache(uint64_t target, Dropped* dropped);
  void release(Dropped& dropped);

  id<MTLDevice> device_;
  const uint64_t limit_;
  id residency_;  // id<MTLResidencySet> on macOS 15
  mutable std::mutex mutex_;
  Entries cache_;  // in the order they were given back
  std::multimap<uint64_t, Entries::iterator> bySize_;
  uint64_t cached_ = 0, allocated_ = 0;
  uint64_t discarded_ = 0;  // entries waiting for collect()
};

// What a request of `bytes` really takes (unless overrides say exactly that): 256 at least, four classes an octave below 1 MiB, whole pages
// above.
uint64_t sizeClass(uint64_t bytes);

}  // namespace weightnorm::metal
