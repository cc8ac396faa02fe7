#include "metal/pipelines.h"

#include <chrono>

#include "metal/errors.h"
#include "metal/kernel_sources.h"
#include "metal/overrides.h"

namespace weightnorm::metal {

namespace {

constexpr NSUInteger kSimdWidth = 32;

double millisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

const KernelSource& source(const std::string& library) {
  for (size_t i = 0; i < kKernelSourceCount; ++i) {
    if (library == kKernelSources[i].name) return kKernelSources[i];
  }
  // unreachable: operations name files of kernels/, all of which are embedded
  throw core::Error(core::Code::kExecution, core::format("this build has no kernel library '%s'", library.c_str()));
}

MTLCompileOptions* compileOptions() {
  MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  options.languageVersion = MTLLanguageVersion3_0;
  if (@available(macOS 15.0, *)) {
    if (systemAtLeast(15)) {
      options.mathMode = MTLMathModeSafe;
      options.mathFloatingPointFunctions = MTLMathFloatingPointFunctionsPrecise;
      return options;
    }
  }
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
  options.fastMathEnabled = NO;
#pragma clang diagnostic pop
  return options;
}

[[noreturn]] void failed(const std::string& what, NSError* error) {
  throw core::Error(core::Code::kExecution,
                    core::format("the GPU kernel %s did not compile (%s): run `weightnorm doctor`", what.c_str(), describe(error).c_str()));
}

}  // namespace

Constants& Constants::add(uint32_t index, MTLDataType type, uint32_t bits, const std::string& text) {
  values_.push_back({index, type, bits});
  key_ += (key_.empty() ? "" : " ") + std::to_string(index) + "=" + text;
  return *this;
}

Constants& Constants::set(uint32_t index, bool value) {
  return add(index, MTLDataTypeBool, value ? 1 : 0, value ? "true" : "false");
}
Constants& Constants::set(uint32_t index, uint32_t value) {
  return add(index, MTLDataTypeUInt, value, std::to_string(value) + "u");
}

MTLFunctionConstantValues* Constants::values() const {
  MTLFunctionConstantValues* values = [[MTLFunctionConstantValues alloc] init];
  for (const Value& value : values_) {
    if (value.type == MTLDataTypeBool) {
      const bool flag = value.bits != 0;
      [values setConstantValue:&flag type:value.type atIndex:value.index];
    } else {
      [values setConstantValue:&value.bits type:value.type atIndex:value.index];
    }
  }
  return values;
}

id<MTLLibrary> Pipelines::library(const std::string& name) {
  std::shared_ptr<Slot<id<MTLLibrary>>> slot;
  {
    std::lock_guard lock(mutex_);
    auto& found = libraries_[name];
    if (!found) found = std::make_shared<Slot<id<MTLLibrary>>>();
    slot = found;
  }
  std::lock_guard lock(slot->mutex);
  if (slot->ready) return slot->value;
  const auto start = std::chrono::steady_clock::now();
  NSError* error = nil;
  id<MTLLibrary> library = [device_ newLibraryWithSource:@(source(name).text) options:compileOptions() error:&error];
  if (!library) failed("library '" + name + "'", error);
  record({name, "", "", millisecondsSince(start)});
  slot->value = library;
  slot->ready = true;
  return library;
}

const Pipeline& Pipelines::get(const std::string& library, const std::string& function, const Constants& constants) {
  std::shared_ptr<Slot<Pipeline>> slot;
  {
    std::lock_guard lock(mutex_);
    auto& found = pipelines_[library + "/" + function + " " + constants.key()];
    if (!found) found = std::make_shared<Slot<Pipeline>>();
    slot = found;
  }
  std::lock_guard lock(slot->mutex);
  if (slot->ready) return slot->value;
  id<MTLLibrary> compiled = this->library(library);
  const std::string what = library + "/" + function + (constants.key().empty() ? "" : " (" + constants.key() + ")");
  const auto start = std::chrono::steady_clock::now();
  NSError* error = nil;
  id<MTLFunction> specialised = [compiled newFunctionWithName:@(function.c_str()) constantValues:constants.values() error:&error];
  if (!specialised) failed(what, error);
  id<MTLComputePipelineState> state = [device_ newComputePipelineStateWithFunction:specialised error:&error];
  if (!state) failed(what, error);
  if (state.threadExecutionWidth != kSimdWidth) {
    throw core::Error(core::Code::kDeviceUnavailable,
                      core::format("this GPU runs %lu threads a SIMD group; the kernels need 32: use the CPU (WEIGHTNORM_DEVICE=cpu)",
                                   static_cast<unsigned long>(state.threadExecutionWidth)));
  }
  record({library, function, constants.key(), millisecondsSince(start)});
  slot->value.state = state;
  slot->value.maxThreads = static_cast<uint32_t>(state.maxTotalThreadsPerThreadgroup);
  slot->ready = true;
  return slot->value;
}

void Pipelines::record(CompileRecord record) {
  std::lock_guard lock(mutex_);
  records_.push_back(std::move(record));
}

std::vector<CompileRecord> Pipelines::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

std::string kernelName(const std::string& base, core::DType dtype) {
  return base + "_" + core::name(dtype);
}

std::vector<KernelFunction> Pipelines::functions() {
  std::vector<KernelFunction> all;
  for (size_t i = 0; i < kKernelSourceCount; ++i) {
    const std::string name = kKernelSources[i].name;
    for (NSString* function in library(name).functionNames) all.push_back({name, function.UTF8String});
  }
  return all;
}

}  // namespace weightnorm::metal
