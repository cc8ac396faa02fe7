// What has been done so far: totals, and by kernel.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace softmetal {

struct Counters {
  uint64_t commandBuffers = 0, encoders = 0, dispatches = 0, memoryBarriers = 0, copies = 0, copiedBytes = 0;
  uint64_t residentBindings = 0;                    // arguments of dispatches that a residency set of the queue holds
  uint64_t buffersCreated = 0, bytesAllocated = 0;  // cumulative
  uint64_t librariesCompiled = 0, librariesCached = 0, pipelines = 0;
  double compileSeconds = 0;
  uint64_t matrixProducts = 0, matrixProductFlops = 0;  // MPS
};
struct KernelCounters {
  uint64_t dispatches = 0, threads = 0, threadgroups = 0, barriers = 0, bytesRead = 0, bytesWritten = 0, flops = 0;
  double seconds = 0, pipelineSeconds = 0;
};

void count(const std::function<void(Counters&)>& change);
void countKernel(const std::string& name, const std::function<void(KernelCounters&)>& change);
Counters counters();
void resetCounters();
std::string countersJson();

}  // namespace softmetal
