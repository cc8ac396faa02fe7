// Order between dispatches, encoders and command buffers: barriers, fences, events, the queue.
#include <atomic>
#include <thread>

#include "gpu.h"

static const char* const kKernels = R"(
  kernel void put(device float* a [[buffer(0)]], uint i [[thread_position_in_grid]]) { a[i] = float(i); }
  kernel void move(device const float* a [[buffer(0)]], device float* b [[buffer(1)]], uint i [[thread_position_in_grid]]) { b[i] = a[31 - i]; }
)";

static void encode(id<MTLComputeCommandEncoder> encoder, const char* kernel, std::vector<id<MTLBuffer>> buffers) {
  [encoder setComputePipelineState:gpu::pipeline(kKernels, kernel)];
  for (size_t i = 0; i < buffers.size(); i++) [encoder setBuffer:buffers[i] offset:0 atIndex:i];
  [encoder dispatchThreads:MTLSizeMake(32, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
}

enum Between { kNothing, kScopeBarrier, kResourceBarrier, kOtherResourceBarrier, kTextureBarrier };
static std::string twoDispatches(MTLDispatchType type, Between between, bool sameBuffer = true) {
  id<MTLBuffer> a = gpu::emptyBuffer(128), b = gpu::emptyBuffer(128), c = gpu::buffer(std::vector<float>(32));
  const std::string error = gpu::compute(
      [&](id<MTLComputeCommandEncoder> encoder) {
        encode(encoder, "put", {a});
        id<MTLResource> listed = between == kResourceBarrier ? a : c;
        if (between == kScopeBarrier) [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
        if (between == kTextureBarrier) [encoder memoryBarrierWithScope:MTLBarrierScopeTextures];
        if (between == kResourceBarrier || between == kOtherResourceBarrier) [encoder memoryBarrierWithResources:&listed count:1];
        encode(encoder, "move", {sameBuffer ? a : c, b});
      },
      type);
  gpu::takeViolations();
  return error;
}
TEST(serial_dispatches_see_each_other) {
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeSerial, kNothing), "");
}
TEST(concurrent_dispatches_need_a_barrier) {
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kNothing), "written by an earlier dispatch with nothing that orders the two");
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kTextureBarrier), "an earlier dispatch");
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kOtherResourceBarrier), "an earlier dispatch");
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kScopeBarrier), "");
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kResourceBarrier), "");
  CHECK_CONTAINS(twoDispatches(MTLDispatchTypeConcurrent, kNothing, false), "");
}
TEST(concurrent_write_after_read_and_write_after_write) {
  for (const char* first : {"move", "put"}) {
    id<MTLBuffer> a = gpu::buffer(std::vector<float>(32)), b = gpu::emptyBuffer(128);
    const std::string error = gpu::compute(
        [&](id<MTLComputeCommandEncoder> encoder) {
          encode(encoder, first, {a, b});
          encode(encoder, "put", {a});
        },
        MTLDispatchTypeConcurrent);
    CHECK_CONTAINS(error, *first == 'm' ? "read by an earlier dispatch" : "written by an earlier dispatch");
    gpu::takeViolations();
  }
}

// Two encoders; untracked memory needs the fence.
static std::string twoEncoders(MTLResourceOptions options, bool update, bool wait, bool blit = false) {
  id<MTLBuffer> a = gpu::emptyBuffer(128, options), b = gpu::emptyBuffer(128);
  id<MTLFence> fence = [gpu::device() newFence];
  const std::string error = gpu::submit([&](id<MTLCommandBuffer> commands) {
    id<MTLComputeCommandEncoder> first = [commands computeCommandEncoder];
    encode(first, "put", {a});
    if (update) [first updateFence:fence];
    [first endEncoding];
    if (blit) {
      id<MTLBlitCommandEncoder> second = [commands blitCommandEncoder];
      if (wait) [second waitForFence:fence];
      [second copyFromBuffer:a sourceOffset:0 toBuffer:b destinationOffset:0 size:128];
      [second endEncoding];
    } else {
      id<MTLComputeCommandEncoder> second = [commands computeCommandEncoder];
      if (wait) [second waitForFence:fence];
      encode(second, "move", {a, b});
      [second endEncoding];
    }
  });
  const std::string reported = gpu::takeViolations();
  return error.empty() ? reported : error;
}
TEST(tracked_memory_is_ordered_between_encoders) {
  CHECK_CONTAINS(twoEncoders(MTLResourceStorageModePrivate, false, false), "");
}
TEST(untracked_memory_needs_a_fence_between_encoders) {
  const MTLResourceOptions untracked = MTLResourceStorageModePrivate | MTLResourceHazardTrackingModeUntracked;
  CHECK_CONTAINS(twoEncoders(untracked, false, false), "nothing that orders the two");
  CHECK_CONTAINS(twoEncoders(untracked, true, false), "nothing that orders the two");
  CHECK_CONTAINS(twoEncoders(untracked, true, true), "");
  CHECK_CONTAINS(twoEncoders(untracked, false, false, true), "nothing that orders the two");
  CHECK_CONTAINS(twoEncoders(untracked, true, true, true), "");
  CHECK_CONTAINS(twoEncoders(untracked, false, true), "no earlier encoder updates");
}
TEST(untracked_memory_within_a_serial_encoder_is_ordered) {
  id<MTLBuffer> a = gpu::emptyBuffer(128, MTLResourceHazardTrackingModeUntracked), b = gpu::emptyBuffer(128);
  CHECK_EQUAL(gpu::compute([&](id<MTLComputeCommandEncoder> encoder) {
                encode(encoder, "put", {a});
                encode(encoder, "move", {a, b});
              }),
              "");
}
TEST(waiting_on_the_cpu_orders_untracked_memory) {
  id<MTLBuffer> a = gpu::emptyBuffer(128, MTLResourceHazardTrackingModeUntracked), b = gpu::emptyBuffer(128);
  CHECK_EQUAL(gpu::compute([&](id<MTLComputeCommandEncoder> encoder) { encode(encoder, "put", {a}); }), "");
  CHECK_EQUAL(gpu::compute([&](id<MTLComputeCommandEncoder> encoder) { encode(encoder, "move", {a, b}); }), "");
}

TEST(events_order_queues_and_notify) {
  id<MTLSharedEvent> event = [gpu::device() newSharedEvent];
  id<MTLBuffer> a = gpu::emptyBuffer(128, MTLResourceHazardTrackingModeUntracked), b = gpu::emptyBuffer(128);
  id<MTLCommandQueue> first = [gpu::device() newCommandQueue], second = [gpu::device() newCommandQueue];
  dispatch_semaphore_t notified = dispatch_semaphore_create(0);
  @autoreleasepool {
    MTLSharedEventListener* listener = [[MTLSharedEventListener alloc] init];
    [event notifyListener:listener
                  atValue:3
                    block:^(id<MTLSharedEvent>, uint64_t) {
                      dispatch_semaphore_signal(notified);
                    }];
    id<MTLCommandBuffer> reader = [second commandBuffer];
    [reader encodeWaitForEvent:event value:3];
    id<MTLComputeCommandEncoder> encoder = [reader computeCommandEncoder];
    encode(encoder, "move", {a, b});
    [encoder endEncoding];
    [reader commit];
    id<MTLCommandBuffer> writer = [first commandBuffer];
    encoder = [writer computeCommandEncoder];
    encode(encoder, "put", {a});
    [encoder endEncoding];
    [writer encodeSignalEvent:event value:3];
    [writer commit];
    [reader waitUntilCompleted];
    CHECK(reader.error == nil);
    CHECK_EQUAL(dispatch_semaphore_wait(notified, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_SEC)), 0);
  }
  CHECK_EQUAL(gpu::values<float>(b)[0], 31.0f);
  CHECK_EQUAL(event.signaledValue, 3u);
  event.signaledValue = 2;
  CHECK_CONTAINS(gpu::takeViolations(), "value went down from 3 to 2");
}
TEST(an_event_within_a_command_buffer_does_not_order_earlier_ones) {
  id<MTLBuffer> a = gpu::emptyBuffer(128, MTLResourceHazardTrackingModeUntracked), b = gpu::emptyBuffer(128);
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
  softmetal_set("completion_delay", 50000);
  for (const bool together : {true, false}) {
    @autoreleasepool {
      id<MTLEvent> event = [gpu::device() newEvent];
      id<MTLCommandBuffer> writer = [queue commandBuffer], reader = together ? writer : [queue commandBuffer];
      id<MTLComputeCommandEncoder> encoder = [writer computeCommandEncoder];
      encode(encoder, "put", {a});
      [encoder endEncoding];
      if (!together) [writer commit];
      [reader encodeSignalEvent:event value:1];
      [reader encodeWaitForEvent:event value:1];
      encoder = [reader computeCommandEncoder];
      encode(encoder, "move", {a, b});
      [encoder endEncoding];
      [reader commit];
      [reader waitUntilCompleted];
      CHECK_CONTAINS(gpu::takeViolations(), together ? "" : "nothing that orders the two");
      CHECK((reader.error == nil) == together);
    }
  }
  softmetal_reset();
}
TEST(plain_events_have_no_cpu_side) {
  id<MTLSharedEvent> event = (id<MTLSharedEvent>)[gpu::device() newEvent];
  event.signaledValue = 1;
  CHECK_CONTAINS(gpu::takeViolations(), "not shared");
}

TEST(command_buffers_run_in_the_order_of_enqueueing) {
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueue];
  std::vector<int> order;
  auto* list = &order;
  @autoreleasepool {
    id<MTLCommandBuffer> first = [queue commandBuffer], second = [queue commandBuffer];
    [first addCompletedHandler:^(id<MTLCommandBuffer>) {
      list->push_back(1);
    }];
    [second addCompletedHandler:^(id<MTLCommandBuffer>) {
      list->push_back(2);
    }];
    [first enqueue];
    [second commit];
    [first commit];
    [second waitUntilCompleted];
    CHECK_EQUAL(first.status, MTLCommandBufferStatusCompleted);
    CHECK(second.GPUEndTime >= second.GPUStartTime && second.GPUStartTime > 0);
  }
  CHECK_EQUAL(order.size(), 2u);
  CHECK_EQUAL(order[0], 1);
}
TEST(a_queue_holds_so_many_uncompleted_command_buffers) {
  id<MTLCommandQueue> queue = [gpu::device() newCommandQueueWithMaxCommandBufferCount:2];
  std::atomic<bool> got{false};
  @autoreleasepool {
    id<MTLCommandBuffer> first = [queue commandBuffer], second = [queue commandBuffer];
    std::thread third([&] {
      @autoreleasepool {
        (void)[queue commandBuffer];
      }
      got = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(!got);
    [first commit];
    third.join();
    CHECK(got);
    [second commit];
    [second waitUntilCompleted];
  }
}
TEST(the_last_release_of_a_queue_may_come_from_its_own_thread) {
  for (int i = 0; i < 20; i++) @autoreleasepool {
      id<MTLCommandBuffer> commands = [[gpu::device() newCommandQueue] commandBuffer];
      [commands addCompletedHandler:^(id<MTLCommandBuffer>){
      }];
      [commands commit];
    }
}
