// Copy encoders.
#import "internal.h"

static Failure brokenCopy(const std::string& problem) {
  softmetal::recordViolation(problem);
  return {MTLCommandBufferErrorInternal, problem};
}

@implementation SMBlitEncoder
- (void)updateFence:(id<MTLFence>)fence {
  [self encodeUpdateFence:fence];
}
- (void)waitForFence:(id<MTLFence>)fence {
  [self encodeWaitForFence:fence];
}
- (void)synchronizeResource:(id<MTLResource>)resource {
  if ([self isOpenFor:"synchronizeResource"])
    SM_VALID(resource.storageMode == MTLStorageModeManaged, "synchronizeResource: of a resource that is not managed");
}
- (void)fillBuffer:(id<MTLBuffer>)target range:(NSRange)range value:(uint8_t)value {
  if (![self isOpenFor:"fillBuffer"] || !SM_VALID(target != nil, "fillBuffer: the buffer is nil")) return;
  if (!SM_VALID(range.length > 0, "fillBuffer: length must not be 0")) return;
  if (!SM_VALID(range.location % 4 == 0 && range.length % 4 == 0, "fillBuffer: range %lu+%lu must consist of multiples of 4",
                range.location, range.length))
    return;
  if (!SM_VALID(NSMaxRange(range) <= target.length, "fillBuffer: range %lu+%lu beyond length %lu", range.location, range.length,
                target.length))
    return;
  Reference reference(target, buffer->retained);
  [buffer uses:reference];
  softmetal::count([&](auto& c) {
    c.copies++;
    c.copiedBytes += range.length;
  });
  [buffer add:[=](Execution& state) -> Failure {
    SMBuffer* destination = reference.get();
    if (!destination) return {MTLCommandBufferErrorInvalidResource, "a buffer was released before the command buffer filled it"};
    auto lock = softmetal::bulkLock();
    state.ordering.since = softmetal::nextEpoch();
    const std::string problem = softmetal::bulkWrite(destination->region.get(), range.location, range.length, state.ordering);
    if (!problem.empty()) return brokenCopy("fillBuffer: " + problem);
    memset(destination->region->base + range.location, value, range.length);
    return {};
  }];
}
- (void)copyFromBuffer:(id<MTLBuffer>)source
          sourceOffset:(NSUInteger)sourceOffset
              toBuffer:(id<MTLBuffer>)target
     destinationOffset:(NSUInteger)targetOffset
                  size:(NSUInteger)size {
  if (![self isOpenFor:"copyFromBuffer"] || !SM_VALID(source && target, "copyFromBuffer: a buffer is nil")) return;
  if (!SM_VALID(sourceOffset % 4 == 0 && targetOffset % 4 == 0 && size % 4 == 0,
                "copyFromBuffer: offsets %lu and %lu and size %lu must be multiples of 4 on macOS", sourceOffset, targetOffset, size))
    return;
  if (!SM_VALID(size > 0, "copyFromBuffer: size must not be 0")) return;
  if (!SM_VALID(sourceOffset + size <= source.length, "copyFromBuffer: source range %lu+%lu beyond length %lu", sourceOffset, size,
                source.length))
    return;
  if (!SM_VALID(targetOffset + size <= target.length, "copyFromBuffer: destination range %lu+%lu beyond length %lu", targetOffset, size,
                target.length))
    return;
  const bool overlaps = source == target && sourceOffset < targetOffset + size && targetOffset < sourceOffset + size;
  if (!SM_VALID(!overlaps, "copyFromBuffer: source and destination overlap")) return;
  Reference from(source, buffer->retained), to(target, buffer->retained);
  [buffer uses:from];
  [buffer uses:to];
  softmetal::count([&](auto& c) {
    c.copies++;
    c.copiedBytes += size;
  });
  [buffer add:[=](Execution& state) -> Failure {
    SMBuffer *sourceBuffer = from.get(), *targetBuffer = to.get();
    if (!sourceBuffer || !targetBuffer)
      return {MTLCommandBufferErrorInvalidResource, "a buffer was released before the command buffer copied it"};
    auto lock = softmetal::bulkLock();
    state.ordering.since = softmetal::nextEpoch();
    std::string problem =
        softmetal::bulkCopy(sourceBuffer->region.get(), sourceOffset, targetBuffer->region.get(), targetOffset, size, state.ordering);
    if (!problem.empty()) return brokenCopy("copyFromBuffer: " + problem);
    return {};
  }];
}
@end
