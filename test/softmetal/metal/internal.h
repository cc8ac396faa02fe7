// The double's classes, as its own files see them. Compiled with ARC.
#pragma once
#import <Metal/Metal.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../engine/counters.h"
#include "../engine/executor.h"
#include "../engine/faults.h"
#include "../engine/format.h"
#include "../engine/library.h"
#include "validation.h"

@class SMDevice, SMHeap, SMQueue, SMCommandBuffer;

@interface SMDevice : NSObject <MTLDevice>
+ (SMDevice*)defaultDevice;  // one object while anybody holds it; nil when there is no device
- (void)allocated:(NSInteger)bytes;
@end

// A buffer, or an allocation from a heap. Memory lies in the arena, or is the caller's own.
@interface SMBuffer : NSObject <MTLBuffer> {
 @public
  std::unique_ptr<softmetal::Region> region;
}
- (nullable instancetype)initWithLength:(NSUInteger)length options:(MTLResourceOptions)options device:(SMDevice*)device;
- (instancetype)initWithMemory:(void*)memory
                        length:(NSUInteger)length
                       options:(MTLResourceOptions)options
                        device:(SMDevice*)device
                   deallocator:(nullable void (^)(void*, NSUInteger))deallocator;
- (void)belongToHeap:(SMHeap*)heap offset:(NSUInteger)offset;
@end

@interface SMHeap : NSObject <MTLHeap>
- (instancetype)initWithDescriptor:(MTLHeapDescriptor*)descriptor device:(SMDevice*)device;
- (void)release:(NSUInteger)offset;
@end

@interface SMLibrary : NSObject <MTLLibrary>
- (instancetype)initWithPath:(const std::string&)path library:(std::shared_ptr<softmetal::Library>)library device:(SMDevice*)device;
@end

@interface SMFunction : NSObject <MTLFunction> {
 @public
  std::shared_ptr<softmetal::Library> library;
  const SmKernel* kernel;
  std::string missingConstant;  // a required function constant without a value: no pipeline can be made
}
@property(nonatomic, readwrite) id<MTLDevice> device;
@end

@interface SMPipeline : NSObject <MTLComputePipelineState> {
 @public
  std::shared_ptr<softmetal::Library> library;
  const SmKernel* kernel;
  NSUInteger maxThreads;
  bool wholeSimdgroups;
}
@property(nonatomic, readwrite) id<MTLDevice> device;
@property(nonatomic, readwrite, strong) NSString* label;
@end

@interface SMFence : NSObject <MTLFence> {
 @public
  softmetal::Epoch updatedAt;  // end of the last encoder that updated it, 0 before
}
@property(nonatomic, readwrite) id<MTLDevice> device;
@end

@interface SMEvent : NSObject <MTLSharedEvent>
- (instancetype)initWithDevice:(nullable id<MTLDevice>)device shared:(BOOL)shared;
- (void)signalFromDevice:(uint64_t)value;
- (BOOL)waitOnDevice:(uint64_t)value epoch:(softmetal::Epoch*)epoch;  // NO after the time limit of a command buffer
@end

@interface SMResidencySet : NSObject <MTLResidencySet>
- (BOOL)isResident:(id)allocation;  // as of the last commit
- (instancetype)initWithDescriptor:(MTLResidencySetDescriptor*)descriptor device:(SMDevice*)device;
@end

// An object a command uses: kept alive by the command buffer, or only watched where references are not retained.
class Reference {
 public:
  Reference() = default;
  Reference(id object, bool retained) : strong_(retained ? object : nil), weak_(object), set_(object != nil) {}
  bool set() const { return set_; }
  id get() const { return weak_; }

 private:
  [[maybe_unused]] id strong_ = nil;
  __weak id weak_ = nil;
  bool set_ = false;
};

// What the commands of one command buffer share while they run.
struct Execution {
  softmetal::Ordering ordering;
  softmetal::Epoch start = 0;                             // of the command buffer
  std::vector<std::pair<const void*, uint64_t>> signals;  // events and values that it signalled itself
  bool isConcurrent = false;
};
struct Failure {
  NSInteger code = 0;  // MTLCommandBufferError
  std::string message;
};
using Command = std::function<Failure(Execution&)>;

@interface SMQueue : NSObject <MTLCommandQueue>
- (instancetype)initWithDevice:(SMDevice*)device maxCommandBuffers:(NSUInteger)count;
- (void)enqueue:(SMCommandBuffer*)buffer;
- (void)committed;
- (void)finished;                      // a command buffer completed or was dropped
- (BOOL)keepsResident:(id)allocation;  // by one of its residency sets
@end

@interface SMCommandBuffer : NSObject <MTLCommandBuffer> {
 @public
  bool retained;
  bool hasOpenEncoder;
}
- (instancetype)initWithQueue:(SMQueue*)queue retained:(bool)retained errorOptions:(MTLCommandBufferErrorOption)options;
- (void)add:(Command)command;
- (void)uses:(Reference)reference;    // until it completes; a watched object that is gone then fails the command buffer
- (void)addEncoder:(NSString*)label;  // starts the commands of one encoder
- (BOOL)isCommitted;
- (BOOL)mayEncode:(const char*)what;  // reports and refuses after commit or while an encoder is open
- (void)execute;                      // on the queue's thread
@end

@interface SMEncoder : NSObject <MTLCommandEncoder> {
 @public
  SMCommandBuffer* buffer;
  bool ended;
}
- (instancetype)initWithBuffer:(SMCommandBuffer*)buffer dispatchType:(MTLDispatchType)type;
- (BOOL)isOpenFor:(const char*)what;
- (void)encodeUpdateFence:(id<MTLFence>)fence;
- (void)encodeWaitForFence:(id<MTLFence>)fence;
@end
@interface SMComputeEncoder : SMEncoder <MTLComputeCommandEncoder>
@end
@interface SMBlitEncoder : SMEncoder <MTLBlitCommandEncoder>
@end

NSError* makeError(NSErrorDomain domain, NSInteger code, const std::string& message);
NSString* makeString(const std::string& text);
