// State of the dispatch that is running, shared by the scheduler and the access checker.
#pragma once
#include <string>
#include <vector>

#include "executor.h"
#include "fibers.h"

namespace softmetal {

enum class ThreadState : unsigned char { kNotStarted, kRunnable, kInCollective, kAtSimdgroupBarrier, kAtThreadgroupBarrier, kDone };

struct KernelThread {
  void* context = nullptr;  // saved stack pointer while it is not running
  int stack = -1;
  ThreadState state = ThreadState::kNotStarted;
  uint8_t interval = 0;  // simdgroup barriers passed
  unsigned index = 0;    // in the threadgroup
  const void* site = nullptr;
  int memoryFlags = 0;
  unsigned argument = 0;
  SmCombine combine = nullptr;
  SmContext builtins;
};

struct Simdgroup {
  unsigned first = 0, lanes = 0;  // threads first .. first + lanes - 1
  uint32_t runnable = 0;          // lanes to run before the simdgroup can go on
  alignas(64) unsigned char slots[kSmSimdWidth * kSmSlotBytes];
};

// A broken rule: the text, and instructions whose source lines are appended when it is reported.
struct Violation {
  std::string message;
  std::vector<const void*> sites;
};

struct Execution {
  const Dispatch* dispatch = nullptr;
  Ordering ordering;
  DispatchCounts* counts = nullptr;
  uint32_t serial = 0;
  void* bindings[kSmBindingCount] = {};
  std::vector<Region*> threadgroupRegions;
  KernelThread threads[kMaxThreadsPerThreadgroup];
  Simdgroup simdgroups[kMaxThreadsPerThreadgroup / kSmSimdWidth];
  unsigned threadCount = 0, simdgroupCount = 0;
  KernelThread* current = nullptr;
  unsigned currentSimdgroup = 0;
  void* schedulerContext = nullptr;
  StackPool stacks;
  Violation violation;
  bool failed = false;
  bool checkRaces = true;
  unsigned random = 1;

  Epoch epoch = 1;                              // now
  Epoch dispatchStart = 1;                      // accesses before are ordered before the whole dispatch
  Epoch threadgroupStart = 1;                   // of the running threadgroup
  Epoch threadgroupOrder = 1, deviceOrder = 1;  // last barrier that ordered threadgroup and device memory
};
// Made when the library is loaded and never destroyed: threads may still run while the process ends.
extern __attribute__((visibility("hidden"))) Execution* const theExecution;
inline Execution& execution() {
  return *theExecution;
}

std::string describeThread(const KernelThread& thread);

// Records the violation and leaves the kernel for good. On a fibre only.
[[noreturn]] void abandon(Violation violation);

}  // namespace softmetal
