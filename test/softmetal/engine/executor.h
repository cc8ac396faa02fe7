// Runs dispatches: one fibre a thread, simdgroups of 32, threadgroups one after another, every access checked.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "library.h"
#include "shadow.h"

namespace softmetal {

struct Size3 {
  unsigned x = 1, y = 1, z = 1;
  unsigned long count() const { return static_cast<unsigned long>(x) * y * z; }
};

struct Binding {
  Region* region = nullptr;
  size_t offset = 0;
};

struct Dispatch {
  const SmKernel* kernel = nullptr;
  Library* library = nullptr;
  Binding buffers[kSmBufferCount];
  size_t threadgroupMemory[kSmBufferCount] = {};
  std::vector<Region*> resident;  // reached through pointers in memory (useResource:)
  Size3 grid, threadsPerThreadgroup;
  bool gridInThreads = false;
};

// What is ordered before a dispatch: everything before `since`, except that untracked memory is not ordered between encoders, so
// accesses to it from `untrackedSince` to the start of the encoder are not.
struct Ordering {
  Epoch since = 0;
  Epoch untrackedSince = 0, encoderStart = 0;
  Epoch ownStart = 0, ownUntil = 0;  // work of the same command buffer before an event that it waited for
  bool covers(Epoch epoch, bool isUntracked) const {
    const bool own = epoch >= ownStart && epoch < ownUntil;
    return epoch < since && !(isUntracked && !own && epoch >= untrackedSince && epoch < encoderStart);
  }
};

struct DispatchCounts {
  uint64_t threads = 0, threadgroups = 0, barriers = 0, bytesRead = 0, bytesWritten = 0, flops = 0;
  double seconds = 0;
};

// Empty on success, else what rule the kernel broke, and where. One dispatch runs at a time in a process.
std::string execute(const Dispatch& dispatch, const Ordering& ordering, DispatchCounts& counts);

// An epoch later than every access so far.
Epoch nextEpoch();

// Accesses by something that is not a kernel (copies, matrix products). Empty, or the broken rule. The bulk lock must be held.
std::string bulkRead(Region* region, size_t offset, size_t size, const Ordering& ordering);
std::string bulkWrite(Region* region, size_t offset, size_t size, const Ordering& ordering);
std::string bulkCopy(Region* source, size_t sourceOffset, Region* target, size_t targetOffset, size_t size, const Ordering& ordering);
std::unique_lock<std::recursive_mutex> bulkLock();

// Gives a buffer's memory back, now or, while a dispatch runs, after it: the caller does not wait for kernels.
void releaseRegion(std::unique_ptr<Region> region);

}  // namespace softmetal
