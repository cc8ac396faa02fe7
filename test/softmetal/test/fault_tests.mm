// Faults that tests inject, device properties, modes, counters.
#include <cmath>
#include <thread>

#include "gpu.h"

static const char* const kFill = "kernel void fill(device float* a [[buffer(0)]], uint i [[thread_position_in_grid]]) { a[i] = 1; }";

struct Outcome {
  MTLCommandBufferStatus status;
  NSInteger code;
  float value;
};
static Outcome fillOnce() {
  id<MTLBuffer> buffer = gpu::buffer(std::vector<float>(32));
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kFill, "fill");
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [[gpu::device() newCommandQueue] commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:buffer offset:0 atIndex:0];
    [encoder dispatchThreads:MTLSizeMake(32, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
    [encoder endEncoding];
    [commands commit];
    [commands waitUntilCompleted];
    CHECK(!commands.error || [commands.error.domain isEqualToString:MTLCommandBufferErrorDomain]);
    return {commands.status, commands.error.code, gpu::values<float>(buffer)[31]};
  }
}

TEST(command_buffers_fail_on_demand) {
  for (int code : {1, 2, 3, 4, 7, 8, 9, 11}) {
    softmetal_set("fail_commit", 2);
    softmetal_set("fail_commit_code", code);
    CHECK_EQUAL(fillOnce().status, MTLCommandBufferStatusCompleted);
    const Outcome failed = fillOnce();
    CHECK_EQUAL(failed.status, MTLCommandBufferStatusError);
    CHECK_EQUAL(failed.code, code);
    CHECK_EQUAL(failed.value, 0.0f);
    CHECK_EQUAL(fillOnce().value, 1.0f);
  }
}
TEST(a_device_that_refuses_further_work) {
  softmetal_set("fail_commit", 1);
  softmetal_set("revoke_after_failure", 1);
  CHECK_EQUAL(fillOnce().code, 2);
  CHECK_EQUAL(fillOnce().code, 4);
  CHECK_EQUAL(fillOnce().code, 4);
  softmetal_reset();
  softmetal_set("abort_on_violation", 0);
  CHECK_EQUAL(fillOnce().code, 0);
  softmetal_lose_device(11);
  CHECK_EQUAL(fillOnce().code, 11);
  softmetal_lose_device(0);
  CHECK_EQUAL(fillOnce().value, 1.0f);
}
TEST(encoder_status_of_a_failed_command_buffer) {
  softmetal_set("fail_commit", 1);
  MTLCommandBufferDescriptor* descriptor = [[MTLCommandBufferDescriptor alloc] init];
  descriptor.errorOptions = MTLCommandBufferErrorOptionEncoderExecutionStatus;
  id<MTLCommandBuffer> commands = [[gpu::device() newCommandQueue] commandBufferWithDescriptor:descriptor];
  [[commands blitCommandEncoder] endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  NSArray<id<MTLCommandBufferEncoderInfo>>* infos = commands.error.userInfo[MTLCommandBufferEncoderInfoErrorKey];
  CHECK_EQUAL(infos.count, 1u);
  CHECK_EQUAL(infos.firstObject.errorState, MTLCommandEncoderErrorStateFaulted);
}
TEST(a_hung_command_buffer_ends_with_a_time_out) {
  softmetal_set("hang", 1);
  std::thread release([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    softmetal_release_hang();
  });
  CHECK_EQUAL(fillOnce().code, 2);
  release.join();
}

TEST(allocations_fail_on_demand) {
  softmetal_set("fail_allocation_once", 2);
  CHECK(gpu::emptyBuffer(16) != nil);
  CHECK(gpu::emptyBuffer(16) == nil);
  CHECK(gpu::emptyBuffer(16) != nil);
  softmetal_set("fail_allocation", 2);
  CHECK(gpu::emptyBuffer(16) != nil);
  CHECK(gpu::emptyBuffer(16) == nil);
  CHECK(gpu::emptyBuffer(16) == nil);
  softmetal_set("fail_allocation", 0);
  softmetal_set("max_buffer_length", 1000);
  CHECK(gpu::emptyBuffer(1001) == nil && gpu::emptyBuffer(1000) != nil);
  const NSUInteger already = gpu::device().currentAllocatedSize;
  softmetal_set("memory_limit", already + 900);
  @autoreleasepool {
    id<MTLBuffer> held = gpu::emptyBuffer(600);
    CHECK(held != nil && gpu::emptyBuffer(600) == nil);
    CHECK_EQUAL(gpu::device().currentAllocatedSize, already + 600);
  }
  CHECK(gpu::emptyBuffer(600) != nil);
}
TEST(compilers_fail_on_demand) {
  NSError* error = nil;
  softmetal_set("fail_compile", 1);
  CHECK([gpu::device() newLibraryWithSource:@"" options:nil error:&error] == nil && error.code == MTLLibraryErrorCompileFailure);
  CHECK([gpu::device() newLibraryWithSource:@"" options:nil error:&error] != nil);
  id<MTLFunction> function = [gpu::library(kFill) newFunctionWithName:@"fill"];
  softmetal_set("fail_pipeline", 1);
  CHECK([gpu::device() newComputePipelineStateWithFunction:function error:&error] == nil && error != nil);
  CHECK([gpu::device() newComputePipelineStateWithFunction:function error:&error] != nil);
}

TEST(devices_come_in_kinds) {
  id<MTLDevice> device = gpu::device();
  CHECK([device.name isEqualToString:@"Software Metal"] && device.registryID == 0x736f66746d65);
  CHECK([device supportsFamily:MTLGPUFamilyApple7] && [device supportsFamily:MTLGPUFamilyMetal3] &&
        ![device supportsFamily:MTLGPUFamilyApple8]);
  CHECK(MTLCreateSystemDefaultDevice() == device && MTLCopyAllDevices().firstObject == device);
  softmetal_set("family", 5);
  CHECK(![device supportsFamily:MTLGPUFamilyApple7] && [device supportsFamily:MTLGPUFamilyApple5] &&
        ![device supportsFamily:MTLGPUFamilyMetal3]);
  softmetal_set("family", 0);
  CHECK(![device supportsFamily:MTLGPUFamilyApple1] && [device.name containsString:@"paravirtual"]);
  softmetal_set("no_device", 1);
  CHECK(MTLCreateSystemDefaultDevice() == nil);
  CHECK_EQUAL(MTLCopyAllDevices().count, 0u);
  CHECK_EQUAL(softmetal_set("nonsense", 1), -1);
}
TEST(pipelines_may_take_fewer_threads) {
  softmetal_set("max_threads", 384);
  CHECK_EQUAL(gpu::pipeline(kFill, "fill").maxTotalThreadsPerThreadgroup, 384u);
}

TEST(completion_is_late_or_out_of_order_and_on_another_thread) {
  for (const char* mode : {"shuffle_completion", "completion_delay", "handlers_after_wait"}) {
    softmetal_reset();
    softmetal_set("abort_on_violation", 0);
    softmetal_set(mode, mode[0] == 'c' ? 500 : 1);
    id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    const std::thread::id here = std::this_thread::get_id();
    for (int i = 0; i < 10; i++) @autoreleasepool {
        id<MTLCommandBuffer> commands = [queue commandBuffer];
        [commands addCompletedHandler:^(id<MTLCommandBuffer> buffer) {
          CHECK(std::this_thread::get_id() != here);
          CHECK_EQUAL(buffer.status, MTLCommandBufferStatusCompleted);
          dispatch_semaphore_signal(done);
        }];
        [commands commit];
      }
    for (int i = 0; i < 10; i++) CHECK_EQUAL(dispatch_semaphore_wait(done, dispatch_time(DISPATCH_TIME_NOW, 5 * NSEC_PER_SEC)), 0);
  }
}

TEST(subnormals_are_flushed_on_demand) {
  const char* source = "kernel void f(device float* a [[buffer(0)]], device half* h [[buffer(1)]]) { a[1] = a[0] * 0.5f; a[2] = a[0] + "
                       "0.0f; h[1] = h[0] * half(0.5f); }";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "f");
  for (int flush = 0; flush < 2; flush++) {
    softmetal_set("flush_subnormals", flush);
    id<MTLBuffer> a = gpu::buffer<float>({0x1p-126f, 0, 0}), h = gpu::buffer<_Float16>({(_Float16)0x1p-14f, (_Float16)0});
    CHECK_EQUAL(gpu::dispatch(pipeline, {a, h}, {.threads = MTLSizeMake(1, 1, 1)}), "");
    CHECK_EQUAL(gpu::values<float>(a)[1], flush ? 0.0f : 0x1p-127f);
    CHECK_EQUAL((float)gpu::values<_Float16>(h)[1], 0x1p-15f);
  }
  CHECK_EQUAL(0x1p-126f * *(volatile float*)&std::vector<float>{0.5f}[0], 0x1p-127f);  // this thread is not affected
}
TEST(fast_math_is_what_the_options_say) {
  const char* source = "kernel void f(device float* a [[buffer(0)]]) { a[1] = isnan(a[0]) ? 1.0f : 2.0f; }";
  for (int fast = 0; fast < 2; fast++) {
    id<MTLComputePipelineState> pipeline =
        [gpu::device() newComputePipelineStateWithFunction:[gpu::library(source, fast) newFunctionWithName:@"f"] error:nil];
    id<MTLBuffer> a = gpu::buffer<float>({NAN, 0});
    CHECK_EQUAL(gpu::dispatch(pipeline, {a}, {.threads = MTLSizeMake(1, 1, 1)}), "");
    CHECK_EQUAL(gpu::values<float>(a)[1], fast ? 2.0f : 1.0f);
  }
  MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  CHECK(options.fastMathEnabled && options.mathMode == MTLMathModeFast);
  options.mathMode = MTLMathModeSafe;
  CHECK(!options.fastMathEnabled);
}

TEST(counters_count) {
  softmetal_reset_counters();
  fillOnce();
  std::string json(8192, 0);
  json.resize(softmetal_counters_json(json.data(), json.size()));
  CHECK_CONTAINS(json, "\"commandBuffers\":1,\"encoders\":1,\"dispatches\":1");
  CHECK_CONTAINS(json, "\"fill\":{\"dispatches\":1,\"threads\":32,\"threadgroups\":1,\"barriers\":0,\"bytesRead\":0,\"bytesWritten\":128");
  CHECK_CONTAINS(json, "\"pipelines\":1");
}
