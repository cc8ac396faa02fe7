// Command queues: one thread each, running committed buffers in the order of enqueueing.
#include <thread>

#import "internal.h"

// Outlives the queue object: its last release may come from the queue's own thread.
struct QueueState {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<SMCommandBuffer*> order;
  NSUInteger uncompleted = 0;
  bool stopping = false;
};

static constexpr auto kDeadlockAfter = std::chrono::seconds(20);

static void serve(const std::shared_ptr<QueueState>& state) {
  for (;;) {
    @autoreleasepool {
      SMCommandBuffer* buffer = nil;
      {
        std::unique_lock lock(state->mutex);
        state->changed.wait(lock, [&] {
          return (state->order.empty() && state->stopping) || (!state->order.empty() && [state->order.front() isCommitted]);
        });
        if (state->order.empty()) return;
        buffer = state->order.front();
        state->order.pop_front();
      }
      [buffer execute];
    }
  }
}

@implementation SMQueue {
  SMDevice* _device;
  std::shared_ptr<QueueState> _state;
  std::thread _thread;
  NSUInteger _maxCommandBuffers;
  NSMutableArray<SMResidencySet*>* _residencySets;
}
@synthesize label = _label;
- (instancetype)initWithDevice:(SMDevice*)device maxCommandBuffers:(NSUInteger)count {
  if ((self = [super init])) {
    _device = device;
    _maxCommandBuffers = count;
    _residencySets = [NSMutableArray array];
    _state = std::make_shared<QueueState>();
    _thread = std::thread([state = _state] { serve(state); });
  }
  return self;
}
- (void)dealloc {
  {
    std::lock_guard lock(_state->mutex);
    _state->stopping = true;
  }
  _state->changed.notify_all();
  if (_thread.get_id() == std::this_thread::get_id())
    _thread.detach();
  else
    _thread.join();
}
- (id<MTLDevice>)device {
  return _device;
}
- (void)enqueue:(SMCommandBuffer*)buffer {
  std::lock_guard lock(_state->mutex);
  _state->order.push_back(buffer);
}
- (void)committed {
  std::lock_guard lock(_state->mutex);
  _state->changed.notify_all();
}
- (void)finished {
  std::lock_guard lock(_state->mutex);
  _state->uncompleted--;
  _state->changed.notify_all();
}
- (SMCommandBuffer*)bufferRetained:(bool)retained options:(MTLCommandBufferErrorOption)options {
  {
    std::unique_lock lock(_state->mutex);
    const bool room = _state->changed.wait_for(lock, kDeadlockAfter, [&] { return _state->uncompleted < _maxCommandBuffers; });
    if (!SM_VALID(room, "-[MTLCommandQueue commandBuffer] blocks for ever: %lu command buffers are not completed", _maxCommandBuffers))
      return nil;
    _state->uncompleted++;
  }
  return [[SMCommandBuffer alloc] initWithQueue:self retained:retained errorOptions:options];
}
- (id<MTLCommandBuffer>)commandBuffer {
  return [self bufferRetained:true options:MTLCommandBufferErrorOptionNone];
}
- (id<MTLCommandBuffer>)commandBufferWithUnretainedReferences {
  return [self bufferRetained:false options:MTLCommandBufferErrorOptionNone];
}
- (id<MTLCommandBuffer>)commandBufferWithDescriptor:(MTLCommandBufferDescriptor*)descriptor {
  return [self bufferRetained:descriptor.retainedReferences options:descriptor.errorOptions];
}
- (void)addResidencySet:(id<MTLResidencySet>)set {
  if (!softmetal::requireSystem(15, 0, "-[MTLCommandQueue addResidencySet:]")) return;
  @synchronized(self) {
    if ([_residencySets containsObject:(SMResidencySet*)set]) return;
    if (SM_VALID(_residencySets.count < 32, "more than 32 residency sets on a command queue"))
      [_residencySets addObject:(SMResidencySet*)set];
  }
}
- (BOOL)keepsResident:(id)allocation {
  @synchronized(self) {
    for (SMResidencySet* set in _residencySets)
      if ([set isResident:allocation]) return YES;
  }
  return NO;
}
- (void)addResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self addResidencySet:sets[i]];
}
- (void)removeResidencySet:(id<MTLResidencySet>)set {
  @synchronized(self) {
    [_residencySets removeObject:(SMResidencySet*)set];
  }
}
- (void)removeResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self removeResidencySet:sets[i]];
}
@end
