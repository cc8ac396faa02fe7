// Rules of the API, each broken once. "nothing happens" afterwards: the call is ignored and the process goes on (abort_on_violation is 0).
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "gpu.h"

static const char* const kKernels = R"(
  kernel void fill(device float* a [[buffer(0)]], uint i [[thread_position_in_grid]]) { a[i] = 1; }
  kernel void vectors(device float4* a [[buffer(0)]], constant float4& p [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = p; }
  kernel void dynamic(device float* a [[buffer(0)]], threadgroup float* s [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) { s[i] = 1; a[i] = s[i]; }
  kernel void mixed(device float* a [[buffer(0)]], threadgroup float* s [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
    threadgroup float u[4096];
    u[i] = 1; s[i] = 1;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    a[i] = s[i ^ 1] + u[i ^ 1];
  }
)";

using Encode = std::function<void(id<MTLComputeCommandEncoder>)>;

// Encodes one compute pass with the kernel set and a buffer of 256 bytes at index 0.
static std::string violationOf(const char* kernel, const Encode& encode) {
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kKernels, kernel);
  id<MTLBuffer> buffer = gpu::emptyBuffer(256);
  gpu::compute([&](id<MTLComputeCommandEncoder> encoder) {
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:buffer offset:0 atIndex:0];
    encode(encoder);
  });
  return gpu::takeViolations();
}
static void dispatchOne(id<MTLComputeCommandEncoder> encoder) {
  [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(16, 1, 1)];
}
// One compute pass of its own, with the buffer at index 0.
static void encodeOn(id<MTLCommandBuffer> commands, id<MTLComputePipelineState> pipeline, id<MTLBuffer> buffer) {
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:buffer offset:0 atIndex:0];
  dispatchOne(encoder);
  [encoder endEncoding];
}

TEST(set_bytes_limits) {
  const std::vector<char> bytes(5000);
  CHECK_CONTAINS(violationOf("vectors", [&](auto e) { [e setBytes:bytes.data() length:4097 atIndex:1]; }), "length(4097) must be <= 4096");
  CHECK_CONTAINS(violationOf("vectors", [&](auto e) { [e setBytes:bytes.data() length:0 atIndex:1]; }), "length must not be 0");
  CHECK_CONTAINS(violationOf("vectors",
                             [&](auto e) {
                               [e setBytes:bytes.data() length:4096 atIndex:1];
                               dispatchOne(e);
                             }),
                 "");
}
TEST(argument_table_has_31_entries) {
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setBuffer:nil offset:0 atIndex:31]; }), "index 31 is beyond 30");
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setThreadgroupMemoryLength:16 atIndex:31]; }), "index 31 is beyond 30");
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setBytes:"abcd" length:4 atIndex:31]; }), "index 31 is beyond 30");
}
TEST(buffer_offsets) {
  id<MTLBuffer> buffer = gpu::emptyBuffer(256);
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setBuffer:buffer offset:256 atIndex:0]; }), "offset(256) must be < length 256");
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setBufferOffset:256 atIndex:0]; }), "offset(256) must be < length 256");
  CHECK_CONTAINS(violationOf("fill", [&](auto e) { [e setBufferOffset:0 atIndex:5]; }), "no buffer is bound at index 5");
  CHECK_CONTAINS(violationOf("fill",
                             [&](auto e) {
                               [e setBufferOffset:2 atIndex:0];
                               dispatchOne(e);
                             }),
                 "offset 2 is not aligned to 4");
  CHECK_CONTAINS(violationOf("vectors",
                             [&](auto e) {
                               [e setBuffer:buffer offset:248 atIndex:1];
                               dispatchOne(e);
                             }),
                 "offset 248 is not aligned to 16");
}
TEST(arguments_must_be_bound_and_large_enough) {
  CHECK_CONTAINS(violationOf("vectors", dispatchOne), "vectors: missing buffer binding at index 1 for p");
  CHECK_CONTAINS(violationOf("vectors",
                             [&](auto e) {
                               [e setBytes:"abcd" length:4 atIndex:1];
                               dispatchOne(e);
                             }),
                 "buffer(1) p needs 16 bytes, has 4");
  CHECK_CONTAINS(violationOf("fill",
                             [&](auto e) {
                               [e setBuffer:nil offset:0 atIndex:0];
                               dispatchOne(e);
                             }),
                 "missing buffer binding at index 0");
}
TEST(threadgroup_memory_limits) {
  CHECK_CONTAINS(violationOf("dynamic", [&](auto e) { [e setThreadgroupMemoryLength:260 atIndex:0]; }), "must be a multiple of 16");
  CHECK_CONTAINS(violationOf("dynamic", dispatchOne), "threadgroup(0) s has no length");
  CHECK_CONTAINS(violationOf("dynamic",
                             [&](auto e) {
                               [e setThreadgroupMemoryLength:32784 atIndex:0];
                               dispatchOne(e);
                             }),
                 "exceeds 32768");
  CHECK_CONTAINS(violationOf("mixed",
                             [&](auto e) {
                               [e setThreadgroupMemoryLength:16400 atIndex:0];
                               dispatchOne(e);
                             }),
                 "threadgroup memory (32784 bytes, static and dynamic) exceeds 32768");
  CHECK_CONTAINS(violationOf("mixed",
                             [&](auto e) {
                               [e setThreadgroupMemoryLength:16384 atIndex:0];
                               dispatchOne(e);
                             }),
                 "");
}
TEST(dispatch_limits) {
  const auto shape = [](MTLSize grid, MTLSize threads) {
    return violationOf("fill", [=](auto e) { [e dispatchThreadgroups:grid threadsPerThreadgroup:threads]; });
  };
  CHECK_CONTAINS(shape(MTLSizeMake(1, 1, 1), MTLSizeMake(1025, 1, 1)),
                 "1025 threads per threadgroup, maxTotalThreadsPerThreadgroup is 1024");
  CHECK_CONTAINS(shape(MTLSizeMake(1, 0, 1), MTLSizeMake(1, 1, 1)), "the grid (1,0,1) has a dimension of 0");
  CHECK_CONTAINS(shape(MTLSizeMake(1, 1, 1), MTLSizeMake(1, 1, 0)), "threadsPerThreadgroup has a dimension of 0");
  CHECK_CONTAINS(shape(MTLSizeMake(1ul << 32, 1, 1), MTLSizeMake(1, 1, 1)), "does not fit 32 bits");
  CHECK_CONTAINS(violationOf("fill", [=](auto e) { [e dispatchThreads:MTLSizeMake(0, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)]; }),
                 "has a dimension of 0");
  softmetal_set("max_threads", 256);
  CHECK_CONTAINS(shape(MTLSizeMake(1, 1, 1), MTLSizeMake(257, 1, 1)), "maxTotalThreadsPerThreadgroup is 256");
}
TEST(dispatch_needs_a_pipeline) {
  gpu::compute([&](id<MTLComputeCommandEncoder> encoder) { dispatchOne(encoder); });
  CHECK_CONTAINS(gpu::takeViolations(), "no compute pipeline is set");
}
TEST(pipelines_that_promise_whole_simdgroups) {
  MTLComputePipelineDescriptor* descriptor = [[MTLComputePipelineDescriptor alloc] init];
  descriptor.computeFunction = [gpu::library(kKernels) newFunctionWithName:@"fill"];
  descriptor.threadGroupSizeIsMultipleOfThreadExecutionWidth = YES;
  descriptor.maxTotalThreadsPerThreadgroup = 512;
  NSError* error = nil;
  id<MTLComputePipelineState> pipeline = [gpu::device() newComputePipelineStateWithDescriptor:descriptor
                                                                                      options:0
                                                                                   reflection:nil
                                                                                        error:&error];
  CHECK_EQUAL(pipeline.maxTotalThreadsPerThreadgroup, 512u);
  CHECK_EQUAL(pipeline.threadExecutionWidth, 32u);
  gpu::dispatch(pipeline, {gpu::emptyBuffer(256)}, {.threads = MTLSizeMake(48, 1, 1)});
  CHECK_CONTAINS(gpu::takeViolations(), "not a multiple of 32");
}
TEST(indirect_dispatch) {
  id<MTLBuffer> groups = gpu::buffer<uint32_t>({0, 2, 1, 1}), out = gpu::emptyBuffer(64 * 4);
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kKernels, "fill");
  const auto at = [&](NSUInteger offset) {
    return gpu::compute([&](id<MTLComputeCommandEncoder> encoder) {
      [encoder setComputePipelineState:pipeline];
      [encoder setBuffer:out offset:0 atIndex:0];
      [encoder dispatchThreadgroupsWithIndirectBuffer:groups indirectBufferOffset:offset threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
    });
  };
  CHECK_EQUAL(at(4), "");
  CHECK_EQUAL(gpu::values<float>(out)[63], 1.0f);
  at(2);
  CHECK_CONTAINS(gpu::takeViolations(), "not a multiple of 4");
  at(8);
  CHECK_CONTAINS(gpu::takeViolations(), "too small for three uint32");
}

TEST(one_encoder_at_a_time) {
  gpu::submit([](id<MTLCommandBuffer> commands) {
    id<MTLComputeCommandEncoder> first = [commands computeCommandEncoder];
    CHECK([commands blitCommandEncoder] == nil);
    CHECK_CONTAINS(gpu::takeViolations(), "already encoding");
    [commands encodeSignalEvent:[gpu::device() newEvent] value:1];
    CHECK_CONTAINS(gpu::takeViolations(), "encodeSignalEvent: a command encoder is already encoding");
    [commands commit];
    CHECK_CONTAINS(gpu::takeViolations(), "has not ended encoding");
    [first endEncoding];
    [first endEncoding];
    CHECK_CONTAINS(gpu::takeViolations(), "endEncoding after endEncoding");
    [first setBytes:"abcd" length:4 atIndex:0];
    CHECK_CONTAINS(gpu::takeViolations(), "setBytes after endEncoding");
  });
}
TEST(encoders_end_before_they_are_released) {
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [[gpu::device() newCommandQueue] commandBuffer];
    @autoreleasepool {
      (void)[commands computeCommandEncoder];
    }
  }
  CHECK_CONTAINS(gpu::takeViolations(), "released without endEncoding");
}
TEST(commit_happens_once_and_last) {
  gpu::submit([](id<MTLCommandBuffer> commands) {
    [commands waitUntilCompleted];
    CHECK_CONTAINS(gpu::takeViolations(), "waitUntilCompleted before commit");
    [commands commit];
    [commands waitUntilCompleted];
    [commands addCompletedHandler:^(id<MTLCommandBuffer>){
    }];
    CHECK_CONTAINS(gpu::takeViolations(), "addCompletedHandler: after commit");
    CHECK([commands computeCommandEncoder] == nil);
    CHECK_CONTAINS(gpu::takeViolations(), "computeCommandEncoder after commit");
  });
  CHECK_CONTAINS(gpu::takeViolations(), "committed already");
}
TEST(handlers_must_not_wait_for_their_own_buffer) {
  gpu::submit([](id<MTLCommandBuffer> commands) {
    [commands addCompletedHandler:^(id<MTLCommandBuffer> buffer) {
      [buffer waitUntilCompleted];
    }];
  });
  CHECK_CONTAINS(gpu::takeViolations(), "inside a handler of the same command buffer");
}

TEST(buffer_lengths) {
  id<MTLDevice> device = gpu::device();
  CHECK([device newBufferWithLength:0 options:0] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "length must not be 0");
  CHECK([device newBufferWithLength:device.maxBufferLength + 1 options:0] == nil);
  CHECK([device newBufferWithBytes:"abcd" length:4 options:MTLResourceStorageModePrivate] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "private storage");
}
TEST(private_buffers_have_no_contents_and_new_ones_hold_poison) {
  CHECK(gpu::emptyBuffer(16, MTLResourceStorageModePrivate).contents == nullptr);
  const float value = gpu::values<float>(gpu::emptyBuffer(16))[3];
  CHECK(value != value);
}
TEST(buffers_without_copy) {
  id<MTLDevice> device = gpu::device();
  void* memory = aligned_alloc(16384, 32768);
  CHECK([device newBufferWithBytesNoCopy:(char*)memory + 4096 length:16384 options:0 deallocator:nil] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "multiples of the 16 KB page");
  CHECK([device newBufferWithBytesNoCopy:memory length:1000 options:0 deallocator:nil] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "multiples of the 16 KB page");
  static int freed = 0;
  @autoreleasepool {
    id<MTLBuffer> buffer = [device newBufferWithBytesNoCopy:memory
                                                     length:32768
                                                    options:0
                                                deallocator:^(void* pointer, NSUInteger) {
                                                  free(pointer);
                                                  freed++;
                                                }];
    CHECK(buffer.contents == memory);
    CHECK_EQUAL(gpu::dispatch(gpu::pipeline(kKernels, "fill"), {buffer}, {.threads = MTLSizeMake(64, 1, 1)}), "");
    CHECK_EQUAL(((float*)memory)[63], 1.0f);
  }
  for (int i = 0; i < 100 && !freed; i++) usleep(1000);
  CHECK_EQUAL(freed, 1);
}

TEST(copies_in_multiples_of_four) {
  id<MTLBuffer> a = gpu::buffer(std::vector<float>(16, 2)), b = gpu::emptyBuffer(64);
  const auto blit = [](auto encode) {
    gpu::submit([&](id<MTLCommandBuffer> commands) {
      id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
      encode(encoder);
      [encoder endEncoding];
    });
    return gpu::takeViolations();
  };
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:2 toBuffer:b destinationOffset:0 size:4]; }),
                 "must be multiples of 4");
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:6]; }),
                 "must be multiples of 4");
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:60 toBuffer:b destinationOffset:0 size:8]; }),
                 "source range 60+8 beyond length 64");
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:64 size:4]; }),
                 "destination range 64+4 beyond");
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:0 toBuffer:a destinationOffset:4 size:8]; }), "overlap");
  CHECK_CONTAINS(blit([&](auto e) { [e copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:0]; }), "size must not be 0");
  CHECK_CONTAINS(blit([&](auto e) { [e fillBuffer:a range:NSMakeRange(1, 4) value:0]; }), "multiples of 4");
  CHECK_CONTAINS(blit([&](auto e) { [e fillBuffer:a range:NSMakeRange(0, 0) value:0]; }), "length must not be 0");
  CHECK_CONTAINS(blit([&](auto e) { [e fillBuffer:a range:NSMakeRange(60, 8) value:0]; }), "beyond length 64");
  CHECK_CONTAINS(blit([&](auto e) { [e synchronizeResource:a]; }), "not managed");
  CHECK_CONTAINS(blit([&](auto e) {
                   [e copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:32];
                   [e fillBuffer:b range:NSMakeRange(32, 32) value:0];
                 }),
                 "");
  CHECK_EQUAL(gpu::values<float>(b)[7] + gpu::values<float>(b)[8], 2.0f);
}
TEST(copies_carry_uninitialised_memory_along) {
  id<MTLBuffer> source = gpu::emptyBuffer(64, MTLResourceStorageModePrivate), target = gpu::emptyBuffer(64), out = gpu::emptyBuffer(64);
  gpu::submit([&](id<MTLCommandBuffer> commands) {
    id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
    [encoder fillBuffer:source range:NSMakeRange(0, 32) value:0];
    [encoder copyFromBuffer:source sourceOffset:0 toBuffer:target destinationOffset:0 size:64];
    [encoder endEncoding];
  });
  const char* source2 =
      "kernel void f(device float* a [[buffer(0)]], device float* b [[buffer(1)]], uint i [[thread_position_in_grid]]) { b[i] = a[i]; }";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source2, "f");
  CHECK_EQUAL(gpu::dispatch(pipeline, {target, out}, {.threads = MTLSizeMake(8, 1, 1)}), "");
  CHECK_CONTAINS(gpu::dispatch(pipeline, {target, out}, {.threads = MTLSizeMake(9, 1, 1)}), "uninitialised memory at offset 32");
  gpu::takeViolations();
}

TEST(heaps) {
  MTLHeapDescriptor* descriptor = [[MTLHeapDescriptor alloc] init];
  descriptor.size = 4096;
  descriptor.storageMode = MTLStorageModePrivate;
  id<MTLHeap> heap = [gpu::device() newHeapWithDescriptor:descriptor];
  CHECK([heap newBufferWithLength:256 options:MTLResourceStorageModeShared] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "storage or cache mode differs");
  CHECK([heap newBufferWithLength:256 options:MTLResourceStorageModePrivate | MTLResourceHazardTrackingModeTracked] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "cannot be tracked");
  CHECK([heap newBufferWithLength:256 options:MTLResourceStorageModePrivate offset:0] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "MTLHeapTypePlacement");
  @autoreleasepool {
    id<MTLBuffer> first = [heap newBufferWithLength:3000 options:MTLResourceStorageModePrivate];
    CHECK(first.heap == heap && first.hazardTrackingMode == MTLHazardTrackingModeUntracked);
    CHECK([heap newBufferWithLength:2000 options:MTLResourceStorageModePrivate] == nil);
    CHECK_EQUAL(heap.usedSize, 3072u);
    CHECK_EQUAL([heap maxAvailableSizeWithAlignment:256], 1024u);
  }
  CHECK_EQUAL(heap.usedSize, 0u);
  [gpu::emptyBuffer(16) makeAliasable];
  CHECK_CONTAINS(gpu::takeViolations(), "not on a heap");
}

TEST(unretained_references_must_outlive_the_work) {
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kKernels, "fill");
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
  for (int retained = 0; retained < 2; retained++) {
    @autoreleasepool {
      id<MTLCommandBuffer> commands = retained ? [queue commandBuffer] : [queue commandBufferWithUnretainedReferences];
      @autoreleasepool {
        id<MTLBuffer> buffer = gpu::emptyBuffer(256);
        encodeOn(commands, pipeline, buffer);
      }
      [commands commit];
      [commands waitUntilCompleted];
      CHECK_EQUAL(commands.status, retained ? MTLCommandBufferStatusCompleted : MTLCommandBufferStatusError);
      CHECK_EQUAL(commands.error.code, retained ? 0 : (NSInteger)MTLCommandBufferErrorInvalidResource);
    }
  }
}

TEST(unretained_references_must_outlive_the_completion) {
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kKernels, "fill");
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
  softmetal_set("completion_delay", 50000);
  for (int kept = 0; kept < 2; kept++) {
    @autoreleasepool {
      id<MTLCommandBuffer> commands = [queue commandBufferWithUnretainedReferences];
      __attribute__((objc_precise_lifetime, unused)) id<MTLBuffer> held = nil;
      @autoreleasepool {
        id<MTLBuffer> buffer = gpu::emptyBuffer(256);
        encodeOn(commands, pipeline, buffer);
        [commands commit];
        [commands waitUntilScheduled];
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (kept) held = buffer;
      }
      [commands waitUntilCompleted];
      CHECK_EQUAL(commands.error.code, kept ? 0 : (NSInteger)MTLCommandBufferErrorInvalidResource);
    }
  }
  softmetal_reset();
  CHECK_CONTAINS(gpu::takeViolations(), "released before it completed");
}

TEST(residency_sets_of_a_queue_are_counted) {
  id<MTLDevice> device = gpu::device();
  id<MTLCommandQueue> queue = [device newCommandQueue];
  id<MTLResidencySet> set = [device newResidencySetWithDescriptor:[[MTLResidencySetDescriptor alloc] init] error:nil];
  id<MTLBuffer> buffer = gpu::emptyBuffer(256);
  id<MTLComputePipelineState> pipeline = gpu::pipeline(kKernels, "fill");
  const auto bindings = [&] {
    softmetal_reset_counters();
    id<MTLCommandBuffer> commands = [queue commandBuffer];
    encodeOn(commands, pipeline, buffer);
    [commands commit];
    [commands waitUntilCompleted];
    char json[65536];
    softmetal_counters_json(json, sizeof json);
    return std::string(strstr(json, "residentBindings")).substr(18, 1);
  };
  [queue addResidencySet:set];
  [set addAllocation:buffer];
  CHECK_EQUAL(bindings(), "0");
  [set commit];
  CHECK_EQUAL(bindings(), "1");
  [queue removeResidencySet:set];
  CHECK_EQUAL(bindings(), "0");
}

TEST(newer_calls_need_a_newer_system) {
  id<MTLDevice> device = gpu::device();
  softmetal_set_os_version(13, 0, 0);
  MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  options.mathMode = MTLMathModeSafe;
  CHECK_CONTAINS(gpu::takeViolations(), "setMathMode:] needs macOS 15.0, this is macOS 13.0");
  CHECK([device newResidencySetWithDescriptor:[[MTLResidencySetDescriptor alloc] init] error:nil] == nil);
  CHECK_CONTAINS(gpu::takeViolations(), "needs macOS 15.0");
  (void)device.architecture;
  CHECK_CONTAINS(gpu::takeViolations(), "needs macOS 14.0");
  options.languageVersion = MTLLanguageVersion3_1;
  NSError* error = nil;
  CHECK([device newLibraryWithSource:@"" options:options error:&error] == nil);
  CHECK_CONTAINS(error.localizedDescription.UTF8String, "newest language version is 3.0");
}
TEST(residency_sets) {
  MTLResidencySetDescriptor* descriptor = [[MTLResidencySetDescriptor alloc] init];
  descriptor.label = @"set";
  NSError* error = nil;
  id<MTLResidencySet> set = [gpu::device() newResidencySetWithDescriptor:descriptor error:&error];
  id<MTLBuffer> buffer = gpu::emptyBuffer(100);
  [set addAllocation:buffer];
  CHECK([set containsAllocation:buffer] && set.allocationCount == 1 && set.allocatedSize == 0);
  [set commit];
  CHECK_EQUAL(set.allocatedSize, buffer.allocatedSize);
  [set requestResidency];
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
  [queue addResidencySet:set];
  NSMutableArray* more = [NSMutableArray array];
  for (int i = 0; i < 32; i++) {
    [more addObject:[gpu::device() newResidencySetWithDescriptor:descriptor error:&error]];
    [queue addResidencySet:more[i]];
  }
  CHECK_CONTAINS(gpu::takeViolations(), "more than 32 residency sets");
  [set removeAllAllocations];
  [set commit];
  [set endResidency];
  CHECK_EQUAL(set.allocatedSize, 0u);
}

FATAL_TEST(a_violation_ends_the_process_by_default, "softmetal: violation: newBufferWithLength: length must not be 0") {
  @autoreleasepool {
    (void)[gpu::device() newBufferWithLength:0 options:0];
  }
}
