// Checks of every load and store: bounds, alignment, initialisation, races.
#include <algorithm>
#include <cstring>

#include "execution.h"
#include "format.h"

namespace softmetal {
namespace {

// Cells hold 16 bits of thread: its index, or one of these.
constexpr uint16_t kSeveralThreads = 0xffff, kAtomics = 0xfffe, kBulk = 0xfffd;

const char* verb(unsigned flags) {
  return flags & kSmWrite ? "write" : "read";
}

// How the kernel knows the region.
std::string nameOf(const Region* region) {
  const Dispatch* d = execution().dispatch;
  if (region->isThreadgroup) return "threadgroup memory '" + region->label + "'";
  std::string name = "memory";
  for (int i = 0; d && i < d->kernel->parameterCount; i++)
    if (d->kernel->attributes[i].kind == kSmBuffer && d->buffers[d->kernel->attributes[i].index].region == region)
      name = format("buffer(%d) %s", d->kernel->attributes[i].index, d->kernel->parameterNames[i]);
  return region->label.empty() ? name : name + " '" + region->label + "'";
}

struct Access {
  KernelThread* thread;
  const void* address;
  size_t size;
  unsigned flags;
  const void* site;

  [[noreturn]] void fail(const std::string& what) const { abandon({describeThread(*thread) + ": " + what, {site}}); }
  [[noreturn]] void outOfBounds(const Region* region) const {
    fail(format("out-of-bounds %s of %zu bytes at offset %ld of ", verb(flags), size, static_cast<const char*>(address) - region->base) +
         nameOf(region) + format(", length %zu", region->length));
  }
};

[[noreturn]] void unmapped(const Access& access) {
  Arena& arena = Arena::instance();
  Execution& e = execution();
  if (arena.find(access.address) == Arena::freedMarker())
    access.fail(format("%s of %zu bytes of a freed buffer", verb(access.flags), access.size));
  Region* nearest = nullptr;
  size_t distance = 1 << 20;
  const auto consider = [&](Region* region) {
    const auto* p = static_cast<const char*>(access.address);
    const size_t away = p < region->base ? region->base - p : p - region->base - region->length;
    if (away < distance) nearest = region, distance = away;
  };
  for (int i = 0; i < e.dispatch->kernel->parameterCount; i++)
    if (e.dispatch->kernel->attributes[i].kind == kSmBuffer) consider(e.dispatch->buffers[e.dispatch->kernel->attributes[i].index].region);
  for (Region* region : e.dispatch->resident) consider(region);
  if (arena.contains(access.address))
    for (Region* region : e.threadgroupRegions) consider(region);
  if (nearest) access.outOfBounds(nearest);
  for (Region* region : e.threadgroupRegions) {
    const long offset = static_cast<const char*>(access.address) - region->base;
    if (offset >= -4096 && offset < static_cast<long>(region->length) + 4096) access.outOfBounds(region);
  }
  if (e.dispatch->library->contains(access.address))
    access.fail(format("%s of %zu bytes of a program-scope variable", verb(access.flags), access.size));
  access.fail(format("%s of %zu bytes at the invalid address %p", verb(access.flags), access.size, access.address));
}

// The region an access falls in; null for memory that needs no check (the thread's own stack, constants of the program).
Region* regionOf(const Access& access) {
  Execution& e = execution();
  Region* region = Arena::instance().find(access.address);
  if (region) {
    if (region->boundSerial == e.serial) return region;
    if (region == Arena::freedMarker()) unmapped(access);
    access.fail(format("%s of %zu bytes of a buffer that is not bound to this dispatch (useResource: is missing)", verb(access.flags),
                       access.size));
  }
  if (const int stack = e.stacks.stackOf(access.address); stack >= 0) {
    if (stack != access.thread->stack) access.fail(format("%s of another thread's private memory", verb(access.flags)));
    return nullptr;
  }
  if ((region = e.dispatch->library->threadgroupRegion(access.address))) {
    if (region->boundSerial != e.serial) unmapped(access);
    return region;
  }
  if (e.dispatch->library->contains(access.address) && !(access.flags & kSmWrite)) return nullptr;
  for (int i = 0; i < e.dispatch->kernel->parameterCount; i++) {
    const SmAttribute& attribute = e.dispatch->kernel->attributes[i];
    if (attribute.kind != kSmBuffer) continue;
    Region* bound = e.dispatch->buffers[attribute.index].region;
    const long offset = static_cast<const char*>(access.address) - bound->base;
    if (bound->ownCells && offset >= -65536 && offset < static_cast<long>(bound->length) + 65536) return bound;
  }
  unmapped(access);
}

// Whether an earlier access by another thread to some of the same bytes is not ordered before this one.
bool conflicts(const Execution& e, const Access& access, const Region* region, Epoch epoch, uint16_t thread, uint8_t interval,
               unsigned bytes) {
  if (!bytes || !epoch || epoch < region->orderedSince || e.ordering.covers(epoch, region->isUntracked)) return false;
  if (epoch < e.threadgroupStart) return !region->isThreadgroup;
  if (epoch < (region->isThreadgroup ? e.threadgroupOrder : e.deviceOrder) || thread == access.thread->index) return false;
  const bool sameSimdgroup = thread < kBulk && thread / kSmSimdWidth == access.thread->index / kSmSimdWidth;
  return !(sameSimdgroup && interval != access.thread->interval);
}

[[noreturn]] void race(const Access& access, const Region* region, size_t offset, Epoch epoch, uint16_t thread, const char* other) {
  const Execution& e = execution();
  std::string who = format("thread %u", thread);
  if (thread == kSeveralThreads) who = "other threads";
  if (thread == kAtomics) who = "an atomic operation";
  if (thread == kBulk) who = "a copy";
  std::string which = who + " with no barrier between";
  if (epoch < e.dispatchStart)
    which = "an earlier dispatch with nothing that orders the two (memoryBarrier, fence or event)";
  else if (epoch < e.threadgroupStart)
    which = "another threadgroup of this dispatch";
  access.fail(format("data race: %s at offset %zu of ", verb(access.flags), offset) + nameOf(region) + ", " + other + " by " + which);
}

void checkCell(const Access& access, Region* region, size_t word, unsigned bytes) {
  Execution& e = execution();
  Cell& cell = *region->cellAt(word);
  const auto thread = static_cast<uint16_t>(access.flags & kSmAtomic ? kAtomics : access.thread->index);
  const bool bothAtomicWrite = access.flags & kSmAtomic && cell.writeThread == kAtomics;
  if (!bothAtomicWrite && conflicts(e, access, region, cell.writeEpoch, cell.writeThread, cell.writeInterval, cell.writeMask & bytes))
    race(access, region, word, cell.writeEpoch, cell.writeThread, "written");
  if (access.flags & kSmWrite) {
    const bool bothAtomicRead = access.flags & kSmAtomic && cell.readThread == kAtomics;
    if (!bothAtomicRead && conflicts(e, access, region, cell.readEpoch, cell.readThread, cell.readInterval, cell.readMask & bytes))
      race(access, region, word, cell.readEpoch, cell.readThread, "read");
    const bool same = cell.writeEpoch == e.epoch && cell.writeThread == thread && cell.writeInterval == access.thread->interval;
    cell.writeMask = same ? cell.writeMask | bytes : bytes;
    cell.writeEpoch = e.epoch;
    cell.writeThread = thread;
    cell.writeInterval = access.thread->interval;
  } else if (cell.readEpoch != e.epoch) {
    cell.readEpoch = e.epoch;
    cell.readThread = thread;
    cell.readInterval = access.thread->interval;
    cell.readMask = bytes;
  } else {
    if (cell.readThread != thread) cell.readThread = kSeveralThreads;
    cell.readInterval = access.thread->interval;
    cell.readMask |= bytes;
  }
}

void check(const Access& access) {
  Execution& e = execution();
  Region* region = regionOf(access);
  if (!region) return;
  const size_t offset = static_cast<const char*>(access.address) - region->base, size = access.size;
  if (offset + size > region->length || offset > region->length) access.outOfBounds(region);
  if (!(access.flags & kSmUnaligned) && size <= 16 && !(size & (size - 1)) && reinterpret_cast<uintptr_t>(access.address) % size)
    access.fail(format("misaligned %s of %zu bytes at offset %zu of ", verb(access.flags), size, offset) + nameOf(region));
  const bool tracked = region->tracking != Tracking::kNone;
  if (!region->isThreadgroup) (access.flags & kSmWrite ? e.counts->bytesWritten : e.counts->bytesRead) += size;
  for (size_t word = offset & ~size_t{3}; word < offset + size; word += 4) {
    unsigned bytes = 0xf;
    if (word < offset) bytes &= 0xf << (offset - word);
    if (word + 4 > offset + size) bytes &= 0xf >> (word + 4 - offset - size);
    Cell& cell = *region->cellAt(word);
    if (tracked) {
      // An atomic operation reads as well; a plain store does not.
      if ((!(access.flags & kSmWrite) || access.flags & kSmAtomic) && (cell.initialised & bytes) != bytes) {
        const size_t from = std::max(word, offset), to = std::min(word + 4, offset + size);
        if (region->firstUninitialised(from, to - from) < to - from)
          access.fail(format("read of uninitialised memory at offset %zu of ", from) + nameOf(region));
        cell.initialised |= bytes;  // written by the CPU: no need to look again
      }
      if (access.flags & kSmWrite) cell.initialised |= bytes;
    }
    if (e.checkRaces) checkCell(access, region, word, bytes);
  }
}

enum class Bulk { kRead, kWrite, kCopyFrom, kCopyTo };

std::string bulk(Region* region, size_t offset, size_t size, const Ordering& ordering, Bulk kind) {
  const bool isWrite = kind == Bulk::kWrite || kind == Bulk::kCopyTo;
  Execution& e = execution();
  const auto unordered = [&](Epoch epoch) {
    return epoch && epoch >= region->orderedSince && !ordering.covers(epoch, region->isUntracked);
  };
  if (kind == Bulk::kRead)
    if (const size_t bad = region->firstUninitialised(offset, size); bad < size)
      return format("read of uninitialised memory at offset %zu of a buffer '%s'", offset + bad, region->label.c_str());
  for (size_t word = offset & ~size_t{3}; word < offset + size; word += 4) {
    Cell& cell = *region->cellAt(word);
    if (e.checkRaces && (unordered(cell.writeEpoch) || (isWrite && unordered(cell.readEpoch))))
      return format("data race at offset %zu of a buffer '%s' with an earlier encoder and nothing that orders the two (fence or event)",
                    word, region->label.c_str());
    (isWrite ? cell.writeEpoch : cell.readEpoch) = e.epoch;
    (isWrite ? cell.writeThread : cell.readThread) = kBulk;
    if (isWrite)
      cell.writeMask = 0xf;
    else
      cell.readMask = 0xf;
  }
  if (kind == Bulk::kWrite) region->markInitialised(offset, size);
  return "";
}

}  // namespace

std::string bulkRead(Region* region, size_t offset, size_t size, const Ordering& ordering) {
  return bulk(region, offset, size, ordering, Bulk::kRead);
}
std::string bulkWrite(Region* region, size_t offset, size_t size, const Ordering& ordering) {
  return bulk(region, offset, size, ordering, Bulk::kWrite);
}

// A copy may carry uninitialised bytes along: only using them is an error.
std::string bulkCopy(Region* source, size_t sourceOffset, Region* target, size_t targetOffset, size_t size, const Ordering& ordering) {
  std::string problem = bulk(source, sourceOffset, size, ordering, Bulk::kCopyFrom);
  if (problem.empty()) problem = bulk(target, targetOffset, size, ordering, Bulk::kCopyTo);
  if (!problem.empty()) return problem;
  memcpy(target->base + targetOffset, source->base + sourceOffset, size);
  for (size_t i = 0; i < size; i += 4) {
    const unsigned known = source->tracking == Tracking::kFull                    ? source->cellAt(sourceOffset + i)->initialised
                           : source->firstUninitialised(sourceOffset + i, 4) == 4 ? 0xf
                                                                                  : 0;
    target->cellAt(targetOffset + i)->initialised = known;
  }
  return "";
}

extern "C" {
void softmetal_kernel_access(const void* address, unsigned long size, unsigned flags, const void* site) {
  KernelThread* self = execution().current;
  if (self) check({self, address, size, flags, site});
}

void softmetal_kernel_index(const void* site) {
  abandon({describeThread(*execution().current) + ": an index is beyond its array", {site}});
}

void softmetal_kernel_simdgroup_access(const void* address, unsigned long size, unsigned flags) {
  Execution& e = execution();
  KernelThread* first = e.threads + e.simdgroups[e.currentSimdgroup].first;
  if (reinterpret_cast<uintptr_t>(address) % (size / 8)) {
    Access{first, address, size, flags, first->site}.fail(format("misaligned simdgroup matrix row at %p", address));
  }
  const int stack = e.stacks.stackOf(address);
  if (stack >= 0) Access{first, address, size, flags, first->site}.fail("simdgroup_load or simdgroup_store on private memory");
  check({first, address, size, flags | kSmUnaligned, first->site});
}
}

}  // namespace softmetal
