// Shortcuts for tests that run kernels.
#pragma once
#import <Metal/Metal.h>

#include <functional>
#include <string>
#include <vector>

#include "harness.h"
#include "softmetal/control.h"

namespace gpu {

id<MTLDevice> device();
id<MTLLibrary> library(const std::string& source, bool fastMath = false);  // with metal_stdlib and `using namespace metal` in front
std::string compileError(const std::string& source);
id<MTLComputePipelineState> pipeline(const std::string& source, const char* kernel, MTLFunctionConstantValues* constants = nil);

template <class T>
id<MTLBuffer> buffer(const std::vector<T>& values) {
  return [device() newBufferWithBytes:values.data() length:values.size() * sizeof(T) options:MTLResourceStorageModeShared];
}
id<MTLBuffer> emptyBuffer(size_t length, MTLResourceOptions options = MTLResourceStorageModeShared);
template <class T>
std::vector<T> values(id<MTLBuffer> buffer) {
  const T* begin = static_cast<const T*>(buffer.contents);
  return std::vector<T>(begin, begin + buffer.length / sizeof(T));
}

// Encodes into one command buffer and waits. The result is its error's text, "" on success; reports are left to takeViolations.
std::string submit(const std::function<void(id<MTLCommandBuffer>)>& encode);
std::string compute(const std::function<void(id<MTLComputeCommandEncoder>)>& encode, MTLDispatchType type = MTLDispatchTypeSerial);

// One dispatch with buffers bound from index 0 on.
struct Shape {
  MTLSize groups = MTLSizeMake(1, 1, 1), threads = MTLSizeMake(32, 1, 1);
  std::vector<NSUInteger> threadgroupMemory = {};
};
std::string dispatch(id<MTLComputePipelineState> pipeline, const std::vector<id<MTLBuffer>>& buffers, const Shape& shape = {});

// What has been reported since the last call, one a line.
std::string takeViolations();

// Fills one float per thread of a single threadgroup from an expression in MSL; `i` is the thread's number.
std::vector<float> evaluate(const std::string& expression, unsigned threads = 32, const std::string& declarations = "");

}  // namespace gpu
