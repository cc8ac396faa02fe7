#include "counters.h"

#include <mutex>

#include "format.h"

namespace softmetal {
namespace {

struct State {
  std::mutex mutex;
  Counters totals;
  std::map<std::string, KernelCounters> kernels;
};
State& state() {
  static auto* instance = new State;
  return *instance;
}

}  // namespace

void count(const std::function<void(Counters&)>& change) {
  std::lock_guard lock(state().mutex);
  change(state().totals);
}
void countKernel(const std::string& name, const std::function<void(KernelCounters&)>& change) {
  std::lock_guard lock(state().mutex);
  change(state().kernels[name]);
}
Counters counters() {
  std::lock_guard lock(state().mutex);
  return state().totals;
}
void resetCounters() {
  std::lock_guard lock(state().mutex);
  state().totals = {};
  state().kernels.clear();
}

std::string countersJson() {
  std::lock_guard lock(state().mutex);
  const Counters& t = state().totals;
  std::string json = format(
      "{\"commandBuffers\":%lu,\"encoders\":%lu,\"dispatches\":%lu,\"memoryBarriers\":%lu,\"copies\":%lu,\"copiedBytes\":%lu,"
      "\"residentBindings\":%lu,\"buffersCreated\":%lu,\"bytesAllocated\":%lu,\"librariesCompiled\":%lu,\"librariesCached\":%lu,"
      "\"pipelines\":%lu,"
      "\"compileSeconds\":%.6f,\"matrixProducts\":%lu,\"matrixProductFlops\":%lu,\"kernels\":{",
      t.commandBuffers, t.encoders, t.dispatches, t.memoryBarriers, t.copies, t.copiedBytes, t.residentBindings, t.buffersCreated,
      t.bytesAllocated, t.librariesCompiled, t.librariesCached, t.pipelines, t.compileSeconds, t.matrixProducts, t.matrixProductFlops);
  const char* separator = "";
  for (const auto& [name, k] : state().kernels) {
    json += separator + ("\"" + name + "\":") +
            format(
                "{\"dispatches\":%lu,\"threads\":%lu,\"threadgroups\":%lu,\"barriers\":%lu,\"bytesRead\":%lu,\"bytesWritten\":%lu,"
                "\"flops\":%lu,\"seconds\":%.6f,\"pipelineSeconds\":%.6f}",
                k.dispatches, k.threads, k.threadgroups, k.barriers, k.bytesRead, k.bytesWritten, k.flops, k.seconds, k.pipelineSeconds);
    separator = ",";
  }
  return json + "}}";
}

}  // namespace softmetal
