#include "executor.h"

#include <xmmintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstring>

#include "compiler.h"
#include "execution.h"
#include "faults.h"
#include "format.h"

namespace softmetal {
namespace {

constexpr unsigned kFlushMode = 0x8040;  // MXCSR: flush to zero, denormals are zero

std::recursive_mutex& executorMutex() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}

// Regions whose buffers went away while a dispatch was running.
struct Released {
  std::mutex mutex;
  std::vector<std::unique_ptr<Region>> regions;
};
Released& released() {
  static auto* instance = new Released;
  return *instance;
}
void drainReleased() {
  std::lock_guard lock(released().mutex);
  for (auto& region : released().regions) Arena::instance().release(std::move(region));
  released().regions.clear();
}

Simdgroup& simdgroupOf(const KernelThread& thread) {
  return execution().simdgroups[thread.index / kSmSimdWidth];
}

void fail(std::string message, std::vector<const void*> sites) {
  Execution& e = execution();
  if (!e.failed) e.violation = {std::move(message), std::move(sites)};
  e.failed = true;
}

unsigned nextRandom() {
  Execution& e = execution();
  e.random = e.random * 1664525 + 1013904223;
  return e.random >> 8;
}

// The lanes of a simdgroup run in an order that the seed decides.
unsigned pickLane(Simdgroup& simdgroup) {
  Execution& e = execution();
  const unsigned turn = e.random >> 10 & 31;
  const uint32_t rotated = simdgroup.runnable >> turn | (turn ? simdgroup.runnable << (32 - turn) : 0);
  const unsigned lane = (e.random & 0x100 ? __builtin_ctz(rotated) : 31 - __builtin_clz(rotated)) + turn & 31;
  simdgroup.runnable &= ~(1u << lane);
  return lane;
}

// All lanes have stopped. Completes their operation, if they are all at the same one, and makes them runnable again.
void resolveSimdgroup(Simdgroup& simdgroup) {
  Execution& e = execution();
  KernelThread* lanes = e.threads + simdgroup.first;
  unsigned waiting = simdgroup.lanes;
  for (unsigned i = 0; i < simdgroup.lanes; i++)
    if (lanes[i].state == ThreadState::kInCollective || lanes[i].state == ThreadState::kAtSimdgroupBarrier) waiting = std::min(waiting, i);
  if (waiting == simdgroup.lanes) return;
  for (unsigned i = 0; i < simdgroup.lanes; i++) {
    if (lanes[i].state == lanes[waiting].state && lanes[i].site == lanes[waiting].site) continue;
    const bool done = lanes[i].state == ThreadState::kDone;
    std::vector<const void*> sites = {lanes[waiting].site};
    if (!done) sites.push_back(lanes[i].site);
    return fail(format("simdgroup %u diverges: lane %u is at a simdgroup operation while lane %u %s", lanes[0].index / kSmSimdWidth,
                       waiting, i, done ? "has returned" : "is at another operation"),
                std::move(sites));
  }
  if (lanes[0].state == ThreadState::kInCollective) {
    unsigned arguments[kSmSimdWidth] = {};
    for (unsigned i = 0; i < simdgroup.lanes; i++) arguments[i] = lanes[i].argument;
    const uint32_t active = simdgroup.lanes == kSmSimdWidth ? ~0u : (1u << simdgroup.lanes) - 1;
    lanes[0].combine(simdgroup.slots, kSmSlotBytes, arguments, active);
  } else if (lanes[0].memoryFlags) {
    for (unsigned i = 0; i < simdgroup.lanes; i++) lanes[i].interval++;
  }
  for (unsigned i = 0; i < simdgroup.lanes; i++) {
    lanes[i].state = ThreadState::kRunnable;
    simdgroup.runnable |= 1u << i;
  }
}

// The next thread of the running simdgroup, or null when the scheduler must take over.
KernelThread* nextThread() {
  Execution& e = execution();
  Simdgroup& simdgroup = e.simdgroups[e.currentSimdgroup];
  if (!simdgroup.runnable) resolveSimdgroup(simdgroup);
  if (e.failed || !simdgroup.runnable) return nullptr;
  return e.threads + simdgroup.first + pickLane(simdgroup);
}

void fiberMain();

// Gives a thread that has not started a context of its own.
void prepare(KernelThread& thread) {
  Execution& e = execution();
  if (thread.state != ThreadState::kNotStarted) return;
  thread.state = ThreadState::kRunnable;
  thread.stack = e.stacks.take();
  thread.context = newContext(e.stacks.top(thread.stack), fiberMain);
}

void toScheduler(void** save) {
  Execution& e = execution();
  void* context = e.schedulerContext;
  e.current = nullptr;
  softmetal_switch(save, context);
}

// One stack may run many threads to completion, one after another.
void fiberMain() {
  Execution& e = execution();
  for (;;) {
    e.dispatch->kernel->run(e.bindings, &e.current->builtins);
    KernelThread* finished = e.current;
    finished->state = ThreadState::kDone;
    KernelThread* next = nextThread();
    const int stack = finished->stack;
    finished->stack = -1;
    if (next && next->state == ThreadState::kNotStarted) {
      next->state = ThreadState::kRunnable;
      next->stack = stack;
      e.current = next;
      continue;
    }
    e.stacks.give(stack);  // nobody takes it before the switch below
    void* unused;
    if (!next) toScheduler(&unused);
    e.current = next;
    softmetal_switch(&unused, next->context);
  }
}

// Parks the running thread and runs others until it may go on.
void block() {
  Execution& e = execution();
  KernelThread* self = e.current;
  KernelThread* next = nextThread();
  if (next == self) return;
  if (!next) return toScheduler(&self->context);
  prepare(*next);
  e.current = next;
  softmetal_switch(&self->context, next->context);
}

void startThreadgroup(const Size3& position, const Size3& groups, const Size3& size) {
  Execution& e = execution();
  const Dispatch& d = *e.dispatch;
  const Size3& full = d.threadsPerThreadgroup;
  e.epoch++;
  e.threadgroupStart = e.threadgroupOrder = e.deviceOrder = e.epoch;
  e.threadCount = size.count();
  e.simdgroupCount = (e.threadCount + kSmSimdWidth - 1) / kSmSimdWidth;
  for (Region* region : e.threadgroupRegions) region->renew();
  SmContext builtins = {{0, 0, 0},
                        {0, 0, 0},
                        {position.x, position.y, position.z},
                        {size.x, size.y, size.z},
                        {groups.x, groups.y, groups.z},
                        {d.gridInThreads ? d.grid.x : groups.x * full.x, d.gridInThreads ? d.grid.y : groups.y * full.y,
                         d.gridInThreads ? d.grid.z : groups.z * full.z},
                        {full.x, full.y, full.z},
                        0,
                        0,
                        0,
                        e.simdgroupCount,
                        kSmSimdWidth};
  unsigned index = 0;
  for (unsigned z = 0; z < size.z; z++)
    for (unsigned y = 0; y < size.y; y++)
      for (unsigned x = 0; x < size.x; x++, index++) {
        KernelThread& thread = e.threads[index];
        thread.state = ThreadState::kNotStarted;
        thread.interval = 0;
        thread.index = index;
        thread.stack = -1;
        thread.builtins = builtins;
        const unsigned local[3] = {x, y, z};
        const unsigned global[3] = {position.x * full.x + x, position.y * full.y + y, position.z * full.z + z};
        memcpy(thread.builtins.threadPositionInThreadgroup, local, sizeof local);
        memcpy(thread.builtins.threadPositionInGrid, global, sizeof global);
        thread.builtins.threadIndexInThreadgroup = index;
        thread.builtins.simdgroupIndexInThreadgroup = index / kSmSimdWidth;
        thread.builtins.threadIndexInSimdgroup = index % kSmSimdWidth;
      }
  for (unsigned s = 0; s < e.simdgroupCount; s++) {
    Simdgroup& simdgroup = e.simdgroups[s];
    simdgroup.first = s * kSmSimdWidth;
    simdgroup.lanes = std::min<unsigned>(kSmSimdWidth, e.threadCount - simdgroup.first);
    simdgroup.runnable = simdgroup.lanes == kSmSimdWidth ? ~0u : (1u << simdgroup.lanes) - 1;
  }
}

void runSimdgroup(unsigned s) {
  Execution& e = execution();
  e.currentSimdgroup = s;
  if (!e.simdgroups[s].runnable) return;
  nextRandom();
  KernelThread* thread = e.threads + e.simdgroups[s].first + pickLane(e.simdgroups[s]);
  prepare(*thread);
  e.current = thread;
  softmetal_switch(&e.schedulerContext, thread->context);
  e.current = nullptr;
}

// Every simdgroup has stopped at a threadgroup barrier or its end. True if the threadgroup goes on.
bool passBarrier(const Size3& position) {
  Execution& e = execution();
  unsigned waiting = e.threadCount, done = e.threadCount, elsewhere = e.threadCount;
  for (unsigned i = 0; i < e.threadCount; i++) {
    if (e.threads[i].state == ThreadState::kDone)
      done = std::min(done, i);
    else if (waiting == e.threadCount)
      waiting = i;
    else if (e.threads[i].site != e.threads[waiting].site)
      elsewhere = std::min(elsewhere, i);
  }
  if (waiting == e.threadCount) return false;
  const std::string where =
      format("threadgroup_barrier divergence in threadgroup (%u,%u,%u): thread %u waits", position.x, position.y, position.z, waiting);
  if (done < e.threadCount) {
    fail(where + format(" while thread %u has returned", done), {e.threads[waiting].site});
    return false;
  }
  if (elsewhere < e.threadCount) {
    fail(where + format(" at another barrier than thread %u", elsewhere), {e.threads[waiting].site, e.threads[elsewhere].site});
    return false;
  }
  e.epoch++;
  e.counts->barriers++;
  const int flags = e.threads[0].memoryFlags;
  if (flags & 2) e.threadgroupOrder = e.epoch;
  if (flags & 1) e.deviceOrder = e.epoch;
  for (unsigned i = 0; i < e.threadCount; i++) e.threads[i].state = ThreadState::kRunnable;
  for (unsigned s = 0; s < e.simdgroupCount; s++)
    e.simdgroups[s].runnable = e.simdgroups[s].lanes == kSmSimdWidth ? ~0u : (1u << e.simdgroups[s].lanes) - 1;
  return true;
}

void runThreadgroup(const Size3& position, const Size3& groups) {
  Execution& e = execution();
  const Dispatch& d = *e.dispatch;
  Size3 size = d.threadsPerThreadgroup;
  if (d.gridInThreads) {
    size.x = std::min(size.x, d.grid.x - position.x * size.x);
    size.y = std::min(size.y, d.grid.y - position.y * size.y);
    size.z = std::min(size.z, d.grid.z - position.z * size.z);
  }
  startThreadgroup(position, groups, size);
  e.counts->threads += e.threadCount;
  e.counts->threadgroups++;
  do {
    const unsigned turn = nextRandom() % e.simdgroupCount;
    for (unsigned s = 0; s < e.simdgroupCount && !e.failed; s++) runSimdgroup((s + turn) % e.simdgroupCount);
  } while (!e.failed && passBarrier(position));
  if (e.failed) e.stacks.reset();
}

// Regions of dynamic threadgroup memory, one an index, grown on demand.
Region* dynamicThreadgroupMemory(int index, size_t length) {
  static std::unique_ptr<Region> regions[kSmBufferCount];
  auto& region = regions[index];
  if (!region) {
    region = Arena::instance().allocate(64 * 1024);
    region->isThreadgroup = true;
    region->tracking = Tracking::kFull;
    region->label = format("threadgroup(%d)", index);
  }
  region->length = length;
  return region.get();
}

void bindAll() {
  Execution& e = execution();
  const Dispatch& d = *e.dispatch;
  e.threadgroupRegions.clear();
  for (int i = 0; i < d.kernel->parameterCount; i++) {
    const SmAttribute& attribute = d.kernel->attributes[i];
    if (attribute.kind == kSmBuffer) {
      const Binding& binding = d.buffers[attribute.index];
      e.bindings[attribute.index] = binding.region->base + binding.offset;
      binding.region->boundSerial = e.serial;
    } else if (attribute.kind == kSmThreadgroupMemory) {
      Region* region = dynamicThreadgroupMemory(attribute.index, d.threadgroupMemory[attribute.index]);
      region->boundSerial = e.serial;
      e.bindings[kSmBufferCount + attribute.index] = region->base;
      e.threadgroupRegions.push_back(region);
    }
  }
  for (const auto& region : d.library->threadgroupVariables(d.kernel)) {
    region->boundSerial = e.serial;
    e.threadgroupRegions.push_back(region.get());
  }
  for (Region* region : d.resident) region->boundSerial = e.serial;
}

std::string report() {
  Execution& e = execution();
  std::string text = format("kernel '%s': ", e.dispatch->kernel->name) + e.violation.message;
  const char* separator = " at ";
  for (const void* site : e.violation.sites) {
    text += separator + locate(e.dispatch->library->path(), e.dispatch->library->offsetOf(site) - 1);
    separator = " and ";
  }
  return text;
}

}  // namespace

Execution* const theExecution = new Execution;

void releaseRegion(std::unique_ptr<Region> region) {
  std::unique_lock lock(executorMutex(), std::try_to_lock);
  if (lock.owns_lock()) return Arena::instance().release(std::move(region));
  std::lock_guard waiting(released().mutex);
  released().regions.push_back(std::move(region));
}

std::unique_lock<std::recursive_mutex> bulkLock() {
  return std::unique_lock(executorMutex());
}

Epoch nextEpoch() {
  auto lock = bulkLock();
  return ++execution().epoch;
}

std::string describeThread(const KernelThread& thread) {
  const SmContext& b = thread.builtins;
  return format("thread (%u,%u,%u) of threadgroup (%u,%u,%u)", b.threadPositionInThreadgroup[0], b.threadPositionInThreadgroup[1],
                b.threadPositionInThreadgroup[2], b.threadgroupPositionInGrid[0], b.threadgroupPositionInGrid[1],
                b.threadgroupPositionInGrid[2]);
}

void abandon(Violation violation) {
  fail(std::move(violation.message), std::move(violation.sites));
  void* unused;
  toScheduler(&unused);
  __builtin_unreachable();
}

std::string execute(const Dispatch& dispatch, const Ordering& ordering, DispatchCounts& counts) {
  auto lock = bulkLock();
  const auto start = std::chrono::steady_clock::now();
  Execution& e = execution();
  e.dispatch = &dispatch;
  e.ordering = ordering;
  e.counts = &counts;
  e.serial++;
  e.failed = false;
  e.checkRaces = setting(Setting::kRaceCheck);
  e.random = static_cast<unsigned>(setting(Setting::kSeed)) * 2654435761u | 1;
  e.dispatchStart = ++e.epoch;
  bindAll();
  Size3 groups = dispatch.grid;
  const Size3& size = dispatch.threadsPerThreadgroup;
  if (dispatch.gridInThreads)
    groups = {(groups.x + size.x - 1) / size.x, (groups.y + size.y - 1) / size.y, (groups.z + size.z - 1) / size.z};
  const unsigned mode = _mm_getcsr();
  if (setting(Setting::kFlushSubnormals)) _mm_setcsr(mode | kFlushMode);
  const unsigned long count = groups.count();
  const bool backwards = e.random >> 16 & 1;
  for (unsigned long i = 0; i < count && !e.failed; i++) {
    const unsigned long at = backwards ? count - 1 - i : i;
    const auto x = static_cast<unsigned>(at % groups.x), y = static_cast<unsigned>(at / groups.x % groups.y);
    runThreadgroup({x, y, static_cast<unsigned>(at / groups.x / groups.y)}, groups);
  }
  _mm_setcsr(mode);
  if (e.epoch > 0xf0000000u) {
    fail("more barriers and threadgroups in this process than the checker can number", {});
  }
  counts.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  drainReleased();
  return e.failed ? report() : "";
}

extern "C" {
void softmetal_kernel_barrier(int isThreadgroup, int memoryFlags, const void* site) {
  KernelThread* self = execution().current;
  self->site = site;
  self->memoryFlags = memoryFlags;
  self->state = isThreadgroup ? ThreadState::kAtThreadgroupBarrier : ThreadState::kAtSimdgroupBarrier;
  block();
}

void softmetal_kernel_collective(void* value, unsigned size, unsigned argument, SmCombine combine, const void* site) {
  KernelThread* self = execution().current;
  unsigned char* slot = simdgroupOf(*self).slots + self->index % kSmSimdWidth * kSmSlotBytes;
  memcpy(slot, value, size);
  self->site = site;
  self->argument = argument;
  self->combine = combine;
  self->state = ThreadState::kInCollective;
  block();
  memcpy(value, slot, size);
}

unsigned softmetal_kernel_lane() {
  return execution().current->index % kSmSimdWidth;
}
void softmetal_kernel_count_flops(unsigned long count) {
  execution().counts->flops += count;
}
void softmetal_kernel_fail(const char* message) {
  KernelThread* self = execution().current;
  abandon({describeThread(*self) + ": " + message, {self->site}});
}
}

}  // namespace softmetal
