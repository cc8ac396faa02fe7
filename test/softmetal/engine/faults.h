// Everything that tests can set: faults to inject, properties of the device, modes of the executor. Behind softmetal/control.h.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace softmetal {

struct SystemVersion {
  long major = 15, minor = 0, patch = 0;
};
SystemVersion systemVersion();

// Named integer settings. Each starts from the environment variable SOFTMETAL_<NAME> and can be changed at run time.
enum class Setting {
  kNoDevice,            // 1: MTLCreateSystemDefaultDevice returns nil
  kFamily,              // highest Apple GPU family: 7 by default, 5 for an older GPU, 0 for none (paravirtual)
  kMetal3,              // 1 by default
  kUnifiedMemory,       // 1 by default
  kMaxThreads,          // upper limit of every pipeline's maxTotalThreadsPerThreadgroup, 1024 by default
  kMaxBufferLength,     // bytes
  kWorkingSet,          // recommendedMaxWorkingSetSize, bytes
  kMemoryLimit,         // total bytes of live buffers after which allocation fails; 0: none
  kFailAllocation,      // the nth allocation from now on fails, and all after it until reset; 0: none
  kFailAllocationOnce,  // the nth allocation from now on fails
  kFailProduct,         // the nth MPSMatrixMultiplication is nil; 0: none
  kSimdWidth,           // threadExecutionWidth that pipelines report; kernels run 32 whatever it says
  kFailCompile,         // the nth newLibraryWithSource fails; 0: none
  kFailPipeline,        // the nth pipeline fails; 0: none
  kFailCommit,          // the nth commit fails with kFailCommitCode; 0: none
  kFailCommitCode,      // MTLCommandBufferError of that failure; 2 by default
  kRevokeAfterFailure,  // 1: after that failure every later command buffer fails with access revoked (4), or 11 if that was the code
  kHang,                // the nth commit never completes until softmetal_release_hang; 0: none
  kCompletionDelay,     // microseconds before a finished command buffer reports completion
  kShuffleCompletion,   // 1: handlers of different command buffers may run out of order, on fresh threads
  kHandlersAfterWait,   // 1: waitUntilCompleted returns before the handlers have run
  kFlushSubnormals,     // 1: float subnormals read and produced by kernels are zero
  kFastMath,            // 1: kernels are compiled with -O2 -ffast-math, whatever the options say
  kSeed,                // order in which lanes, simdgroups and threadgroups run
  kAbortOnViolation,    // 1 by default: a broken API rule aborts the process; 0: it is only recorded
  kReportLeaks,         // 1: live objects are reported when the process ends
  kRaceCheck,           // 1 by default
  kCount
};
int64_t setting(Setting name);
void setSetting(Setting name, int64_t value);
bool setSettingByName(const std::string& name, int64_t value);  // "fail_commit" and so on; false if unknown
void resetSettings();                                           // to what the environment said
void setSystemVersion(SystemVersion version);

// Counts a "the nth from now on" setting down; true when it is this call's turn.
bool takesTurn(Setting name);

}  // namespace softmetal
