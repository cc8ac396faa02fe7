#pragma once

#import <Metal/Metal.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "metal/metal.h"

namespace weightnorm::metal {

// Values of [[function_constant(i)]]: part of a pipeline's identity. Types must match the kernel's exactly.
class Constants {
 public:
  Constants& set(uint32_t index, bool value);
  Constants& set(uint32_t index, uint32_t value);
  const std::string& key() const { return key_; }
  MTLFunctionConstantValues* values() const;

 private:
  struct Value {
    uint32_t index;
    MTLDataType type;
    uint32_t bits;
  };
  Constants& add(uint32_t index, MTLDataType type, uint32_t bits, const std::string& text);
  std::vector<Value> values_;
  std::string key_;
};

struct Pipeline {
  id<MTLComputePipelineState> state;
  uint32_t maxThreads = 0;  // of a threadgroup; depends on GPU and kernel, often below 1024
};

// Compiled kernels of one GPU, shared by all its queues. Each library (one .metal file) and pipeline is made on first
// use; several threads may compile different ones at once. Any thread.
class Pipelines {
 public:
  explicit Pipelines(id<MTLDevice> device) : device_(device) {}

  // `library`: file name in kernels/ without ".metal". Throws ERR_EXECUTION with the compiler's message; a later call
  // tries again. The reference stays valid as long as this object.
  const Pipeline& get(const std::string& library, const std::string& function, const Constants& constants);
  std::vector<CompileRecord> records() const;
  // Compiles every library.
  std::vector<KernelFunction> functions();

 private:
  template <class T>
  struct Slot {
    std::mutex mutex;
    T value;
    bool ready = false;
  };
  id<MTLLibrary> library(const std::string& name);
  void record(CompileRecord record);

  id<MTLDevice> device_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot<id<MTLLibrary>>>> libraries_;
  std::map<std::string, std::shared_ptr<Slot<Pipeline>>> pipelines_;
  std::vector<CompileRecord> records_;
};

// "activation" + float16 -> "activation_float16", the naming of every kernel that has one instance a dtype.
std::string kernelName(const std::string& base, core::DType dtype);

}  // namespace weightnorm::metal
