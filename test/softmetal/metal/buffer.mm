// Buffers and heaps.
#include <unistd.h>

#import "internal.h"

using softmetal::Arena;
using softmetal::setting;
using softmetal::Setting;
using softmetal::Tracking;

static MTLStorageMode storageOf(MTLResourceOptions options) {
  return (MTLStorageMode)(options >> MTLResourceStorageModeShift & 0xf);
}
static MTLHazardTrackingMode hazardOf(MTLResourceOptions options) {
  return (MTLHazardTrackingMode)(options >> MTLResourceHazardTrackingModeShift & 0x3);
}

@implementation SMBuffer {
  SMDevice* _device;
  SMHeap* _heap;
  NSUInteger _heapOffset;
  MTLResourceOptions _options;
  void (^_deallocator)(void*, NSUInteger);
  NSString* _label;
  bool _isAliasable;
}
- (instancetype)initWithLength:(NSUInteger)length options:(MTLResourceOptions)options device:(SMDevice*)device {
  if (!(self = [super init])) return nil;
  _device = device;
  _options = options;
  region = Arena::instance().allocate(length);
  if (!region) return nil;
  region->tracking = storageOf(options) == MTLStorageModePrivate ? Tracking::kFull : Tracking::kPoison;
  region->isUntracked = hazardOf(options) == MTLHazardTrackingModeUntracked;
  region->fillWithPoison();
  [device allocated:length];
  return self;
}
- (instancetype)initWithMemory:(void*)memory
                        length:(NSUInteger)length
                       options:(MTLResourceOptions)options
                        device:(SMDevice*)device
                   deallocator:(void (^)(void*, NSUInteger))deallocator {
  if (!(self = [super init])) return nil;
  _device = device;
  _options = options;
  _deallocator = [deallocator copy];
  region = Arena::instance().adopt(memory, length);
  region->isUntracked = hazardOf(options) == MTLHazardTrackingModeUntracked;
  [device allocated:length];
  return self;
}
- (void)belongToHeap:(SMHeap*)heap offset:(NSUInteger)offset {
  _heap = heap;
  _heapOffset = offset;
  if (heap.hazardTrackingMode != MTLHazardTrackingModeTracked) region->isUntracked = true;
}
- (void)dealloc {
  if (!region) return;
  void* base = region->base;
  const NSUInteger length = region->length;
  if (_heap && !_isAliasable) [_heap release:_heapOffset];
  [_device allocated:-(NSInteger)length];
  softmetal::releaseRegion(std::move(region));
  if (_deallocator) _deallocator(base, length);
}
- (NSUInteger)length {
  return region->length;
}
- (void*)contents {
  return storageOf(_options) == MTLStorageModePrivate ? nullptr : region->base;
}
- (uint64_t)gpuAddress {
  return (uint64_t)region->base;
}
- (void)didModifyRange:(NSRange)range {
  SM_VALID(storageOf(_options) == MTLStorageModeManaged, "didModifyRange: of a buffer that is not managed");
  SM_VALID(NSMaxRange(range) <= region->length, "didModifyRange: %lu+%lu beyond length %zu", range.location, range.length, region->length);
}
- (void)addDebugMarker:(NSString*)marker range:(NSRange)range {
}
- (void)removeAllDebugMarkers {
}
- (NSString*)label {
  @synchronized(self) {
    return _label;
  }
}
- (void)setLabel:(NSString*)label {
  @synchronized(self) {
    _label = [label copy];
    region->label = label ? label.UTF8String : "";
  }
}
- (id<MTLDevice>)device {
  return _device;
}
- (MTLCPUCacheMode)cpuCacheMode {
  return (MTLCPUCacheMode)(_options & 0xf);
}
- (MTLStorageMode)storageMode {
  return storageOf(_options);
}
- (MTLHazardTrackingMode)hazardTrackingMode {
  return region->isUntracked ? MTLHazardTrackingModeUntracked : MTLHazardTrackingModeTracked;
}
- (MTLResourceOptions)resourceOptions {
  return _options;
}
- (id<MTLHeap>)heap {
  return _heap;
}
- (NSUInteger)heapOffset {
  return _heapOffset;
}
- (NSUInteger)allocatedSize {
  return (region->length + 16383) / 16384 * 16384;
}
- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  return MTLPurgeableStateNonVolatile;
}
- (void)makeAliasable {
  if (!SM_VALID(_heap != nil, "makeAliasable of a buffer that is not on a heap") || _isAliasable) return;
  _isAliasable = true;
  [_heap release:_heapOffset];
}
- (BOOL)isAliasable {
  return _isAliasable;
}
@end

// A heap accounts for sizes and offsets; each of its buffers has memory of its own, so that bounds stay checked.
@implementation SMHeap {
  MTLHeapDescriptor* _descriptor;
  SMDevice* _device;
  std::mutex _mutex;
  std::map<NSUInteger, NSUInteger> _allocations;  // length by offset
}
@synthesize label = _label;
constexpr NSUInteger kHeapAlignment = 256;

- (instancetype)initWithDescriptor:(MTLHeapDescriptor*)descriptor device:(SMDevice*)device {
  if ((self = [super init])) {
    _descriptor = [descriptor copy];
    _device = device;
  }
  return self;
}
- (void)release:(NSUInteger)offset {
  std::lock_guard lock(_mutex);
  _allocations.erase(offset);
}
- (NSUInteger)firstFit:(NSUInteger)length {
  NSUInteger at = 0;
  for (const auto& [offset, size] : _allocations) {
    if (offset - at >= length) break;
    at = offset + size;
  }
  return at;
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  if (!SM_VALID(_descriptor.type == MTLHeapTypeAutomatic, "newBufferWithLength:options: on a placement heap needs an offset")) return nil;
  return [self makeBuffer:length options:options at:NSUIntegerMax];
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options offset:(NSUInteger)offset {
  if (!SM_VALID(_descriptor.type == MTLHeapTypePlacement, "newBufferWithLength:options:offset: needs a heap of MTLHeapTypePlacement"))
    return nil;
  if (!SM_VALID(offset % kHeapAlignment == 0, "heap offset %lu is not aligned to %lu", offset, kHeapAlignment)) return nil;
  return [self makeBuffer:length options:options at:offset];
}
- (id<MTLBuffer>)makeBuffer:(NSUInteger)length options:(MTLResourceOptions)options at:(NSUInteger)offset {
  if (!SM_VALID(length > 0, "heap buffer of length 0")) return nil;
  if (!SM_VALID(storageOf(options) == _descriptor.storageMode && (options & 0xf) == _descriptor.cpuCacheMode,
                "heap buffer's storage or cache mode differs from its heap's"))
    return nil;
  if (!SM_VALID(self.hazardTrackingMode == MTLHazardTrackingModeTracked || hazardOf(options) != MTLHazardTrackingModeTracked,
                "a buffer on an untracked heap cannot be tracked"))
    return nil;
  const NSUInteger size = (length + kHeapAlignment - 1) / kHeapAlignment * kHeapAlignment;
  std::lock_guard lock(_mutex);
  if (offset == NSUIntegerMax) offset = [self firstFit:size];
  if (offset + size > _descriptor.size) return nil;
  SMBuffer* buffer = [[SMBuffer alloc] initWithLength:length options:options device:_device];
  [buffer belongToHeap:self offset:offset];
  if (buffer) _allocations[offset] = size;
  return buffer;
}
- (NSUInteger)maxAvailableSizeWithAlignment:(NSUInteger)alignment {
  std::lock_guard lock(_mutex);
  NSUInteger best = 0, at = 0;
  for (const auto& [offset, size] : _allocations) {
    if (offset > at) best = std::max(best, offset - at);
    at = offset + size;
  }
  return std::max(best, _descriptor.size - at);
}
- (NSUInteger)usedSize {
  std::lock_guard lock(_mutex);
  NSUInteger used = 0;
  for (const auto& [offset, size] : _allocations) used += size;
  return used;
}
- (NSUInteger)size {
  return _descriptor.size;
}
- (NSUInteger)currentAllocatedSize {
  return _descriptor.size;
}
- (NSUInteger)allocatedSize {
  return _descriptor.size;
}
- (id<MTLDevice>)device {
  return _device;
}
- (MTLStorageMode)storageMode {
  return _descriptor.storageMode;
}
- (MTLCPUCacheMode)cpuCacheMode {
  return _descriptor.cpuCacheMode;
}
- (MTLHazardTrackingMode)hazardTrackingMode {
  return _descriptor.hazardTrackingMode == MTLHazardTrackingModeTracked ? MTLHazardTrackingModeTracked : MTLHazardTrackingModeUntracked;
}
- (MTLResourceOptions)resourceOptions {
  return _descriptor.resourceOptions;
}
- (MTLHeapType)type {
  return _descriptor.type;
}
- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  return MTLPurgeableStateNonVolatile;
}
@end
