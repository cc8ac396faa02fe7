// Fences, events, residency sets.
#import "internal.h"

static constexpr auto kDeviceTimeout = std::chrono::seconds(5);

@implementation SMFence
@synthesize device = _device, label = _label;
@end

struct Notification {
  uint64_t value;
  MTLSharedEventListener* listener;
  MTLSharedEventNotificationBlock block;
};

@implementation SMEvent {
  id<MTLDevice> _device;
  BOOL _shared;
  std::mutex _mutex;
  std::condition_variable _changed;
  uint64_t _value;
  softmetal::Epoch _epoch;
  std::vector<Notification> _notifications;
}
@synthesize label = _label;
- (instancetype)initWithDevice:(id<MTLDevice>)device shared:(BOOL)shared {
  if ((self = [super init])) {
    _device = device;
    _shared = shared;
  }
  return self;
}
- (id<MTLDevice>)device {
  return _device;
}
- (uint64_t)signaledValue {
  SM_VALID(_shared, "signaledValue of an MTLEvent that is not shared");
  std::lock_guard lock(_mutex);
  return _value;
}
- (void)setSignaledValue:(uint64_t)value {
  SM_VALID(_shared, "setSignaledValue: of an MTLEvent that is not shared");
  [self reach:value epoch:0];
}
- (void)signalFromDevice:(uint64_t)value {
  [self reach:value epoch:softmetal::nextEpoch()];
}
- (void)reach:(uint64_t)value epoch:(softmetal::Epoch)epoch {
  std::vector<Notification> due;
  {
    std::lock_guard lock(_mutex);
    SM_VALID(value >= _value, "an event's value went down from %lu to %lu", _value, value);
    _value = value;
    _epoch = std::max(_epoch, epoch);
    std::vector<Notification> later;
    for (Notification& notification : _notifications) (notification.value <= value ? due : later).push_back(notification);
    _notifications.swap(later);
  }
  _changed.notify_all();
  for (Notification& notification : due) [self notify:notification value:value];
}
- (void)notify:(const Notification&)notification value:(uint64_t)value {
  MTLSharedEventNotificationBlock block = notification.block;
  dispatch_async(notification.listener.dispatchQueue, ^{
    block(self, value);
  });
}
- (BOOL)waitOnDevice:(uint64_t)value epoch:(softmetal::Epoch*)epoch {
  std::unique_lock lock(_mutex);
  const BOOL reached = _changed.wait_for(lock, kDeviceTimeout, [&] { return _value >= value; });
  *epoch = _epoch;
  return reached;
}
- (void)notifyListener:(MTLSharedEventListener*)listener atValue:(uint64_t)value block:(MTLSharedEventNotificationBlock)block {
  const Notification notification = {value, listener, [block copy]};
  uint64_t current;
  {
    std::lock_guard lock(_mutex);
    current = _value;
    if (_value < value) {
      _notifications.push_back(notification);
      return;
    }
  }
  [self notify:notification value:current];
}
- (MTLSharedEventHandle*)newSharedEventHandle {
  SM_VALID(false, "shared event handles are not supported");
  return (id _Nonnull)nil;
}
- (BOOL)waitUntilSignaledValue:(uint64_t)value timeoutMS:(uint64_t)milliseconds {
  std::unique_lock lock(_mutex);
  return _changed.wait_for(lock, std::chrono::milliseconds(std::min<uint64_t>(milliseconds, 1u << 30)), [&] { return _value >= value; });
}
@end

@implementation MTLSharedEventListener {
  dispatch_queue_t _queue;
}
- (instancetype)init {
  return [self initWithDispatchQueue:dispatch_queue_create("event listener", nullptr)];
}
- (instancetype)initWithDispatchQueue:(dispatch_queue_t)queue {
  if ((self = [super init])) _queue = queue;
  return self;
}
- (dispatch_queue_t)dispatchQueue {
  return _queue;
}
@end

@implementation SMResidencySet {
  MTLResidencySetDescriptor* _descriptor;
  SMDevice* _device;
  NSMutableSet* _staged;
  NSSet* _committed;
}
- (instancetype)initWithDescriptor:(MTLResidencySetDescriptor*)descriptor device:(SMDevice*)device {
  if ((self = [super init])) {
    _descriptor = [descriptor copy];
    _device = device;
    _staged = [NSMutableSet set];
    _committed = [NSSet set];
  }
  return self;
}
- (id<MTLDevice>)device {
  return _device;
}
- (NSString*)label {
  return _descriptor.label;
}
- (uint64_t)allocatedSize {
  uint64_t size = 0;
  @synchronized(self) {
    for (id<MTLAllocation> allocation in _committed) size += allocation.allocatedSize;
  }
  return size;
}
- (NSArray<id<MTLAllocation>>*)allAllocations {
  @synchronized(self) {
    return _staged.allObjects;
  }
}
- (NSUInteger)allocationCount {
  @synchronized(self) {
    return _staged.count;
  }
}
- (BOOL)isResident:(id)allocation {
  @synchronized(self) {
    return [_committed containsObject:allocation];
  }
}
- (void)requestResidency {
}
- (void)endResidency {
}
- (void)addAllocation:(id<MTLAllocation>)allocation {
  if (!SM_VALID(allocation != nil, "addAllocation: the allocation is nil")) return;
  @synchronized(self) {
    [_staged addObject:allocation];
  }
}
- (void)addAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self addAllocation:allocations[i]];
}
- (void)removeAllocation:(id<MTLAllocation>)allocation {
  @synchronized(self) {
    [_staged removeObject:allocation];
  }
}
- (void)removeAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self removeAllocation:allocations[i]];
}
- (void)removeAllAllocations {
  @synchronized(self) {
    [_staged removeAllObjects];
  }
}
- (BOOL)containsAllocation:(id<MTLAllocation>)allocation {
  @synchronized(self) {
    return [_staged containsObject:allocation];
  }
}
- (void)commit {
  @synchronized(self) {
    _committed = [_staged copy];
  }
}
@end
