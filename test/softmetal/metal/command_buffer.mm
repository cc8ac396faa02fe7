// Command buffers: a list of commands, their execution, and how completion and failure are told.
#include <algorithm>
#include <random>
#include <thread>

#import "internal.h"
#include "loss.h"

using softmetal::setting;
using softmetal::Setting;

@interface SMEncoderInfo : NSObject <MTLCommandBufferEncoderInfo>
@property(readwrite, nonatomic, strong) NSString* label;
@property(readwrite, nonatomic) MTLCommandEncoderErrorState errorState;
@end
@implementation SMEncoderInfo
- (NSArray<NSString*>*)debugSignposts {
  return @[];
}
@end

@interface SMLogs : NSObject <MTLLogContainer>
@end
@implementation SMLogs
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state objects:(id __unsafe_unretained[])buffer count:(NSUInteger)count {
  return 0;
}
@end

static thread_local void* runningHandlersOf = nullptr;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct RecordedCommand {
  Command command;
  size_t encoder;  // 1 + its number; 0 outside encoders
};

@implementation SMCommandBuffer {
  SMQueue* _queue;
  MTLCommandBufferErrorOption _errorOptions;
  std::vector<RecordedCommand> _commands;
  std::vector<Reference> _uses;
  NSMutableArray<SMEncoderInfo*>* _encoders;
  std::vector<MTLCommandBufferHandler> _scheduledHandlers, _completedHandlers;
  std::mutex _mutex;
  std::condition_variable _changed;
  MTLCommandBufferStatus _status;
  NSError* _error;
  NSInteger _injectedCode;  // the failure that a test asked for
  bool _enqueued, _committed, _hangs, _finished;
  double _start, _end;
  softmetal::Epoch _ranUntil;
  softmetal::Epoch _hostOrdered;  // work completed before the commit is ordered before this buffer
}
@synthesize label = _label;
- (instancetype)initWithQueue:(SMQueue*)queue retained:(bool)retains errorOptions:(MTLCommandBufferErrorOption)options {
  if ((self = [super init])) {
    _queue = queue;
    retained = retains;
    _errorOptions = options;
    _encoders = [NSMutableArray array];
    softmetal::count([](auto& c) { c.commandBuffers++; });
  }
  return self;
}
- (void)dealloc {
  if (!_finished) [_queue finished];
}

- (BOOL)isCommitted {
  std::lock_guard lock(_mutex);
  return _committed;
}
- (BOOL)mayEncode:(const char*)what {
  return SM_VALID(!hasOpenEncoder, "%s: a command encoder is already encoding to this command buffer", what) &&
         SM_VALID(![self isCommitted], "%s after commit", what);
}
- (void)add:(Command)command {
  _commands.push_back({std::move(command), hasOpenEncoder ? _encoders.count : 0});
}
- (void)uses:(Reference)reference {
  _uses.push_back(std::move(reference));
}
- (void)addEncoder:(NSString*)label {
  SMEncoderInfo* info = [[SMEncoderInfo alloc] init];
  info.label = label ? label : @"";
  [_encoders addObject:info];
  softmetal::count([](auto& c) { c.encoders++; });
}

- (id<MTLComputeCommandEncoder>)computeCommandEncoder {
  return [self computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDispatchType:(MTLDispatchType)type {
  if (![self mayEncode:"computeCommandEncoder"]) return nil;
  return [[SMComputeEncoder alloc] initWithBuffer:self dispatchType:type];
}
- (id<MTLBlitCommandEncoder>)blitCommandEncoder {
  if (![self mayEncode:"blitCommandEncoder"]) return nil;
  return [[SMBlitEncoder alloc] initWithBuffer:self dispatchType:MTLDispatchTypeSerial];
}
- (void)encodeWaitForEvent:(id<MTLEvent>)event value:(uint64_t)value {
  if (![self mayEncode:"encodeWaitForEvent"] || !SM_VALID(event != nil, "encodeWaitForEvent: the event is nil")) return;
  Reference reference(event, retained);
  [self add:[=](Execution& state) -> Failure {
    SMEvent* target = reference.get();
    if (!target) return {MTLCommandBufferErrorInvalidResource, "an event of a command buffer was released before it ran"};
    softmetal::Epoch signalled = 0;
    if (![target waitOnDevice:value epoch:&signalled])
      return {MTLCommandBufferErrorTimeout, softmetal::format("waited for value %lu of an event that nobody signals", value)};
    // An event says that what precedes it in its command buffer is done, not what other buffers still do.
    const std::pair<const void*, uint64_t> signal((__bridge const void*)target, value);
    if (std::find(state.signals.begin(), state.signals.end(), signal) != state.signals.end()) {
      state.ordering.ownStart = state.start;
      state.ordering.ownUntil = softmetal::nextEpoch();
    } else {
      state.ordering.untrackedSince = std::max(state.ordering.untrackedSince, signalled);
    }
    return {};
  }];
}
- (void)encodeSignalEvent:(id<MTLEvent>)event value:(uint64_t)value {
  if (![self mayEncode:"encodeSignalEvent"] || !SM_VALID(event != nil, "encodeSignalEvent: the event is nil")) return;
  Reference reference(event, retained);
  [self add:[=](Execution& state) -> Failure {
    SMEvent* target = reference.get();
    if (!target) return {MTLCommandBufferErrorInvalidResource, "an event of a command buffer was released before it ran"};
    state.signals.push_back({(__bridge const void*)target, value});
    [target signalFromDevice:value];
    return {};
  }];
}

- (void)enqueue {
  {
    std::lock_guard lock(_mutex);
    if (_enqueued) return;
    _enqueued = true;
    _status = MTLCommandBufferStatusEnqueued;
  }
  [_queue enqueue:self];
}
- (void)commit {
  if (!SM_VALID(!hasOpenEncoder, "commit with a command encoder that has not ended encoding")) return;
  if (!SM_VALID(![self isCommitted], "commit of a command buffer that was committed already")) return;
  [self enqueue];
  {
    std::lock_guard lock(_mutex);
    _committed = true;
    _status = MTLCommandBufferStatusCommitted;
    _hostOrdered = softmetal::completedEpoch();
    if (softmetal::takesTurn(Setting::kFailCommit)) _injectedCode = setting(Setting::kFailCommitCode);
    _hangs = softmetal::takesTurn(Setting::kHang);
  }
  [_queue committed];
}

- (void)addScheduledHandler:(MTLCommandBufferHandler)handler {
  if (SM_VALID(![self isCommitted], "addScheduledHandler: after commit")) _scheduledHandlers.push_back([handler copy]);
}
- (void)addCompletedHandler:(MTLCommandBufferHandler)handler {
  if (SM_VALID(![self isCommitted], "addCompletedHandler: after commit")) _completedHandlers.push_back([handler copy]);
}
- (void)call:(std::vector<MTLCommandBufferHandler>&)handlers {
  @autoreleasepool {
    runningHandlersOf = (__bridge void*)self;
    for (MTLCommandBufferHandler handler : handlers) handler(self);
    handlers.clear();
    runningHandlersOf = nullptr;
  }
}

- (Failure)runCommands {
  if (const NSInteger lost = softmetal::lostCode()) return {lost, "the device refuses further work"};
  if (_hangs) {
    softmetal::waitForHangRelease();
    return {MTLCommandBufferErrorTimeout, "injected: the command buffer hung"};
  }
  if (_injectedCode) {
    if (setting(Setting::kRevokeAfterFailure))
      softmetal::loseDevice(_injectedCode == MTLCommandBufferErrorDeviceRemoved ? _injectedCode : MTLCommandBufferErrorAccessRevoked);
    if (_encoders.count) _encoders[0].errorState = MTLCommandEncoderErrorStateFaulted;
    return {_injectedCode, "injected: the command buffer failed"};
  }
  Execution state;
  state.start = softmetal::nextEpoch();
  state.ordering.untrackedSince = _hostOrdered;
  for (RecordedCommand& recorded : _commands) {
    Failure failure = recorded.command(state);
    if (recorded.encoder) _encoders[recorded.encoder - 1].errorState = MTLCommandEncoderErrorStateCompleted;
    if (!failure.code) continue;
    for (size_t i = recorded.encoder; recorded.encoder && i <= _encoders.count; i++)
      _encoders[i - 1].errorState = i == recorded.encoder ? MTLCommandEncoderErrorStateFaulted : MTLCommandEncoderErrorStateAffected;
    return failure;
  }
  return {};
}

- (void)execute {
  {
    std::lock_guard lock(_mutex);
    _status = MTLCommandBufferStatusScheduled;
    _start = now();
  }
  _changed.notify_all();
  [self call:_scheduledHandlers];
  Failure failure;
  @autoreleasepool {
    // Reading a weak reference leaves a strong one in the pool, which must not keep anything alive until completion.
    failure = [self runCommands];
  }
  _ranUntil = softmetal::nextEpoch();
  _commands.clear();
  NSError* error = nil;
  if (failure.code) {
    NSMutableDictionary* information = [NSMutableDictionary dictionary];
    information[NSLocalizedDescriptionKey] = makeString(failure.message);
    if (_errorOptions & MTLCommandBufferErrorOptionEncoderExecutionStatus)
      information[MTLCommandBufferEncoderInfoErrorKey] = [_encoders copy];
    error = [NSError errorWithDomain:MTLCommandBufferErrorDomain code:failure.code userInfo:information];
  }
  const int64_t delay = setting(Setting::kCompletionDelay);
  if (setting(Setting::kShuffleCompletion)) {
    static std::atomic<unsigned> draw{1};
    const unsigned microseconds = (draw = draw * 1664525 + 1013904223) % 2000;
    std::thread([self, error, microseconds, delay] {
      @autoreleasepool {
        std::this_thread::sleep_for(std::chrono::microseconds(microseconds + delay));
        [self completeWithError:error];
      }
    }).detach();
    return;
  }
  if (delay) std::this_thread::sleep_for(std::chrono::microseconds(delay));
  [self completeWithError:error];
}
// A GPU may read and write until it has completed, however early the double did the work.
- (NSError*)releasedTooEarly {
  if (std::none_of(_uses.begin(), _uses.end(), [](const Reference& use) { return use.set() && !use.get(); })) return nil;
  NSString* message = @"an object that the command buffer uses was released before it completed";
  softmetal::recordViolation(message.UTF8String);
  return [NSError errorWithDomain:MTLCommandBufferErrorDomain
                             code:MTLCommandBufferErrorInvalidResource
                         userInfo:@{NSLocalizedDescriptionKey : message}];
}
- (void)completeWithError:(NSError*)error {
  if (!error) error = [self releasedTooEarly];
  _uses.clear();
  softmetal::setCompletedEpoch(_ranUntil);
  const bool handlersLast = setting(Setting::kHandlersAfterWait);
  {
    std::lock_guard lock(_mutex);
    _end = now();
    _error = error;
    _status = error ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted;
  }
  if (!handlersLast) [self call:_completedHandlers];
  {
    std::lock_guard lock(_mutex);
    _finished = true;
  }
  _changed.notify_all();
  [_queue finished];
  if (handlersLast) [self call:_completedHandlers];
}

- (void)waitUntilScheduled {
  if (!SM_VALID([self isCommitted], "waitUntilScheduled before commit")) return;
  std::unique_lock lock(_mutex);
  _changed.wait(lock, [&] { return _status >= MTLCommandBufferStatusScheduled; });
}
- (void)waitUntilCompleted {
  if (!SM_VALID([self isCommitted], "waitUntilCompleted before commit")) return;
  if (!SM_VALID(runningHandlersOf != (__bridge void*)self, "waitUntilCompleted inside a handler of the same command buffer")) return;
  std::unique_lock lock(_mutex);
  _changed.wait(lock, [&] { return _finished; });
}
- (MTLCommandBufferStatus)status {
  std::lock_guard lock(_mutex);
  return _status;
}
- (NSError*)error {
  std::lock_guard lock(_mutex);
  return _error;
}
- (CFTimeInterval)GPUStartTime {
  std::lock_guard lock(_mutex);
  return _end ? _start : 0;
}
- (CFTimeInterval)GPUEndTime {
  std::lock_guard lock(_mutex);
  return _end;
}
- (CFTimeInterval)kernelStartTime {
  return self.GPUStartTime;
}
- (CFTimeInterval)kernelEndTime {
  return self.GPUEndTime;
}
- (id<MTLLogContainer>)logs {
  return [[SMLogs alloc] init];
}
- (id<MTLDevice>)device {
  return _queue.device;
}
- (id<MTLCommandQueue>)commandQueue {
  return _queue;
}
- (BOOL)retainedReferences {
  return retained;
}
- (MTLCommandBufferErrorOption)errorOptions {
  return _errorOptions;
}
- (void)pushDebugGroup:(NSString*)string {
}
- (void)popDebugGroup {
}
- (void)useResidencySet:(id<MTLResidencySet>)set {
  if (softmetal::requireSystem(15, 0, "-[MTLCommandBuffer useResidencySet:]"))
    SM_VALID(![self isCommitted], "useResidencySet: after commit");
}
- (void)useResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self useResidencySet:sets[i]];
}
@end
