#import <Metal/Metal.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "core/environment.h"
#include "metal/kernel_sources.h"
#include "metal/metal_device.h"
#include "metal/overrides.h"

namespace weightnorm::metal {

namespace {

// The share of the recommended working set we use; beyond it the system pages.
constexpr double kWorkingSetShare = 0.95;

std::string nameOf(id<MTLDevice> device) {
  const char* name = device.name.UTF8String;
  return name ? name : "unnamed GPU";
}

// The system's choice, or the first GPU there is: a process without a login session has no default.
id<MTLDevice> findDevice() {
  id<MTLDevice> device = MTLCreateSystemDefaultDevice();
  return device ? device : MTLCopyAllDevices().firstObject;
}

// Why `device` cannot serve; empty if it can.
std::string refusal(id<MTLDevice> device) {
  if (!device) {
    return "Metal finds no GPU: this process may run headless (no login session), in a sandbox or container without GPU access, or "
           "in a virtual machine";
  }
  const std::string name = nameOf(device);
  if (name.find("aravirtual") != std::string::npos) {
    return "'" + name + "' is a virtual machine's GPU, which lacks what the kernels need: run on the Mac itself";
  }
  if (![device supportsFamily:MTLGPUFamilyApple7]) {
    return "'" + name + "' is not of the Apple7 family (M1 or later), whose SIMD-group matrices the kernels need";
  }
  if (![device supportsFamily:MTLGPUFamilyMetal3])
    return "'" + name + "' does not support Metal 3, whose buffer addresses the kernels need";
  return "";
}

std::vector<std::string> features(id<MTLDevice> device) {
  constexpr auto kApple10 = static_cast<MTLGPUFamily>(1010);  // MTLGPUFamilyApple10, which SDKs before macOS 26 lack
  std::vector<std::string> found;
  const std::pair<MTLGPUFamily, const char*> families[] = {{MTLGPUFamilyApple7, "apple7"},
                                                           {MTLGPUFamilyApple8, "apple8"},
                                                           {MTLGPUFamilyApple9, "apple9"},
                                                           {kApple10, "apple10"},
                                                           {MTLGPUFamilyMetal3, "metal3"}};
  for (const auto& [family, name] : families) {
    if ([device supportsFamily:family]) found.emplace_back(name);
  }
  found.emplace_back("simdgroup-matrix");
  if (systemAtLeast(15)) found.emplace_back("residency-sets");
  return found;
}

core::DeviceInfo infoOf(id<MTLDevice> device) {
  core::DeviceInfo info;
  info.type = "metal";
  info.name = nameOf(device);
  info.simulated = info.name.starts_with("Software Metal");
  info.unifiedMemory = device.hasUnifiedMemory;
  info.memoryBytes = device.recommendedMaxWorkingSetSize;
  info.features = features(device);
  return info;
}

}  // namespace

std::shared_ptr<core::Device> metalDevice(std::string* reason) {
  // Leaked: threads may still ask while the process ends.
  static std::mutex& mutex = *new std::mutex;
  static std::weak_ptr<MetalDevice>& known = *new std::weak_ptr<MetalDevice>;
  std::lock_guard lock(mutex);
  if (std::shared_ptr<MetalDevice> device = known.lock()) return device;
  // Before the pool, which unwinding would leave unpopped.
  const std::optional<uint64_t> limit = core::environmentWhole("WEIGHTNORM_MEMORY_LIMIT", "bytes", 1, UINT64_MAX);
  @autoreleasepool {
    id<MTLDevice> handle = findDevice();
    const std::string why = refusal(handle);
    if (reason) *reason = why;
    if (!why.empty()) return nullptr;
    const auto share = static_cast<uint64_t>(kWorkingSetShare * static_cast<double>(handle.recommendedMaxWorkingSetSize));
    auto device = std::make_shared<MetalDevice>(handle, infoOf(handle), limit.value_or(share));
    known = device;
    return device;
  }
}

SourceHashes sourceHashes() {
  return {kKernelHash, kHostHash};
}

std::vector<CompileRecord> compileRecords(core::Device& device) {
  return static_cast<MetalDevice&>(device).pipelines().records();
}

std::vector<KernelFunction> kernelFunctions(core::Device& device) {
  @autoreleasepool {
    return static_cast<MetalDevice&>(device).pipelines().functions();
  }
}

}  // namespace weightnorm::metal
