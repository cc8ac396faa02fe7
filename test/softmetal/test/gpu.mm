#include "gpu.h"

namespace gpu {

id<MTLDevice> device() {
  return MTLCreateSystemDefaultDevice();
}

static NSString* text(const std::string& source) {
  return [NSString stringWithUTF8String:("#include <metal_stdlib>\nusing namespace metal;\n" + source).c_str()];
}

static MTLCompileOptions* options(bool fastMath) {
  MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  options.fastMathEnabled = fastMath;
  options.languageVersion = MTLLanguageVersion3_0;
  return options;
}

id<MTLLibrary> library(const std::string& source, bool fastMath) {
  NSError* error = nil;
  id<MTLLibrary> library = [device() newLibraryWithSource:text(source) options:options(fastMath) error:&error];
  if (!library) harness::fail(__FILE__, __LINE__, error.localizedDescription.UTF8String);
  return library;
}

std::string compileError(const std::string& source) {
  NSError* error = nil;
  id<MTLLibrary> library = [device() newLibraryWithSource:text(source) options:options(false) error:&error];
  if (library) return "";
  CHECK(error.code == MTLLibraryErrorCompileFailure);
  return error.localizedDescription.UTF8String;
}

id<MTLComputePipelineState> pipeline(const std::string& source, const char* kernel, MTLFunctionConstantValues* constants) {
  NSError* error = nil;
  NSString* name = [NSString stringWithUTF8String:kernel];
  id<MTLFunction> function = constants ? [library(source) newFunctionWithName:name constantValues:constants error:&error]
                                       : [library(source) newFunctionWithName:name];
  id<MTLComputePipelineState> state = function ? [device() newComputePipelineStateWithFunction:function error:&error] : nil;
  if (!state) harness::fail(__FILE__, __LINE__, error ? error.localizedDescription.UTF8String : "no such function");
  return state;
}

id<MTLBuffer> emptyBuffer(size_t length, MTLResourceOptions options) {
  return [device() newBufferWithLength:length options:options];
}

std::string submit(const std::function<void(id<MTLCommandBuffer>)>& encode) {
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [[device() newCommandQueue] commandBuffer];
    encode(commands);
    [commands commit];
    [commands waitUntilCompleted];
    return commands.error ? commands.error.localizedDescription.UTF8String : "";
  }
}

std::string compute(const std::function<void(id<MTLComputeCommandEncoder>)>& encode, MTLDispatchType type) {
  return submit([&](id<MTLCommandBuffer> commands) {
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoderWithDispatchType:type];
    encode(encoder);
    [encoder endEncoding];
  });
}

std::string dispatch(id<MTLComputePipelineState> pipeline, const std::vector<id<MTLBuffer>>& buffers, const Shape& shape) {
  return compute([&](id<MTLComputeCommandEncoder> encoder) {
    [encoder setComputePipelineState:pipeline];
    for (size_t i = 0; i < buffers.size(); i++) [encoder setBuffer:buffers[i] offset:0 atIndex:i];
    for (size_t i = 0; i < shape.threadgroupMemory.size(); i++) [encoder setThreadgroupMemoryLength:shape.threadgroupMemory[i] atIndex:i];
    [encoder dispatchThreadgroups:shape.groups threadsPerThreadgroup:shape.threads];
  });
}

std::string takeViolations() {
  std::string text(65536, 0);
  text.resize(softmetal_take_violations(text.data(), text.size()));
  return text;
}

std::vector<float> evaluate(const std::string& expression, unsigned threads, const std::string& declarations) {
  const std::string source = declarations +
                             "\nkernel void f(device float* out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) { out[i] = (" +
                             expression + "); }";
  id<MTLBuffer> out = emptyBuffer(threads * 4);
  const std::string error = dispatch(pipeline(source, "f"), {out}, {.threads = MTLSizeMake(threads, 1, 1)});
  if (!error.empty()) harness::fail(__FILE__, __LINE__, expression + ": " + error);
  return values<float>(out);
}

}  // namespace gpu
