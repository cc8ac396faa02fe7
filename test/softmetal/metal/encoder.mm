// What compute and copy encoders share: their life, fences, debug groups.
#import "internal.h"

@implementation SMEncoder
@synthesize label = _label;
- (instancetype)initWithBuffer:(SMCommandBuffer*)owner dispatchType:(MTLDispatchType)type {
  if ((self = [super init])) {
    buffer = owner;
    [owner addEncoder:nil];
    owner->hasOpenEncoder = true;
    const bool concurrent = type == MTLDispatchTypeConcurrent;
    [owner add:[concurrent](Execution& state) -> Failure {
      state.ordering.since = state.ordering.encoderStart = softmetal::nextEpoch();
      state.isConcurrent = concurrent;
      return {};
    }];
  }
  return self;
}
- (void)dealloc {
  SM_VALID(ended, "a command encoder was released without endEncoding");
}
- (BOOL)isOpenFor:(const char*)what {
  return SM_VALID(!ended, "%s after endEncoding", what);
}
- (void)endEncoding {
  if (![self isOpenFor:"endEncoding"]) return;
  ended = true;
  buffer->hasOpenEncoder = false;
}
- (id<MTLDevice>)device {
  return buffer.device;
}
- (void)insertDebugSignpost:(NSString*)string {
}
- (void)pushDebugGroup:(NSString*)string {
}
- (void)popDebugGroup {
}
// The update counts from the end of the encoder; nothing of the encoder runs later than its last command, so the end of the
// command list so far is close enough only for the wait, which is checked against work already run.
- (void)encodeUpdateFence:(id<MTLFence>)fence {
  if (![self isOpenFor:"updateFence"] || !SM_VALID(fence != nil, "updateFence: the fence is nil")) return;
  Reference reference(fence, buffer->retained);
  [buffer add:[reference](Execution&) -> Failure {
    SMFence* target = reference.get();
    if (!target) return {MTLCommandBufferErrorInvalidResource, "a fence of a command buffer was released before it ran"};
    target->updatedAt = softmetal::nextEpoch();
    return {};
  }];
}
- (void)encodeWaitForFence:(id<MTLFence>)fence {
  if (![self isOpenFor:"waitForFence"] || !SM_VALID(fence != nil, "waitForFence: the fence is nil")) return;
  Reference reference(fence, buffer->retained);
  [buffer add:[reference](Execution& state) -> Failure {
    SMFence* target = reference.get();
    if (!target) return {MTLCommandBufferErrorInvalidResource, "a fence of a command buffer was released before it ran"};
    if (!target->updatedAt) {
      softmetal::recordViolation("waitForFence: of a fence that no earlier encoder updates hangs the GPU");
      return {MTLCommandBufferErrorTimeout, "waitForFence: of a fence that no earlier encoder updates"};
    }
    state.ordering.untrackedSince = std::max(state.ordering.untrackedSince, target->updatedAt);
    return {};
  }];
}
@end
