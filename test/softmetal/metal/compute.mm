// Compute encoders: the argument table, checks of a dispatch, and the dispatch itself.
#include "inline_bytes.h"
#import "internal.h"

using softmetal::InlineBytes;

constexpr NSUInteger kMaxInlineBytes = 4096, kMaxThreadgroupMemory = 32768;

struct Slot {
  Reference buffer;
  std::shared_ptr<InlineBytes> bytes;
  NSUInteger offset = 0, length = 0;  // length of the buffer or the bytes
  bool set() const { return buffer.set() || bytes; }
};

static softmetal::Size3 toSize3(MTLSize size) {
  return {(unsigned)size.width, (unsigned)size.height, (unsigned)size.depth};
}

@implementation SMComputeEncoder {
  SMPipeline* _pipeline;
  Slot _slots[kSmBufferCount];
  NSUInteger _threadgroupMemory[kSmBufferCount];
  std::vector<Reference> _resident;
  MTLDispatchType _type;
}
- (instancetype)initWithBuffer:(SMCommandBuffer*)owner dispatchType:(MTLDispatchType)type {
  if ((self = [super initWithBuffer:owner dispatchType:type])) _type = type;
  return self;
}
- (MTLDispatchType)dispatchType {
  return _type;
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
  if ([self isOpenFor:"setComputePipelineState"] && SM_VALID(state != nil, "setComputePipelineState: the pipeline is nil"))
    _pipeline = (SMPipeline*)state;
}
- (BOOL)isIndex:(NSUInteger)index validFor:(const char*)what {
  return [self isOpenFor:what] && SM_VALID(index < kSmBufferCount, "%s: index %lu is beyond 30", what, index);
}
- (void)setBuffer:(id<MTLBuffer>)object offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  if (![self isIndex:index validFor:"setBuffer"]) return;
  if (object &&
      !SM_VALID(offset < object.length, "setBuffer: offset(%lu) must be < length %lu, at index %lu", offset, object.length, index))
    return;
  Slot& slot = _slots[index];
  slot = {};
  slot.buffer = Reference(object, buffer->retained);
  slot.offset = offset;
  slot.length = object.length;
}
- (void)setBuffers:(const id<MTLBuffer>[])buffers offsets:(const NSUInteger[])offsets withRange:(NSRange)range {
  for (NSUInteger i = 0; i < range.length; i++) [self setBuffer:buffers[i] offset:offsets[i] atIndex:range.location + i];
}
- (void)setBufferOffset:(NSUInteger)offset atIndex:(NSUInteger)index {
  if (![self isIndex:index validFor:"setBufferOffset"]) return;
  Slot& slot = _slots[index];
  if (!SM_VALID(slot.set(), "setBufferOffset: no buffer is bound at index %lu", index)) return;
  if (SM_VALID(offset < slot.length, "setBufferOffset: offset(%lu) must be < length %lu, at index %lu", offset, slot.length, index))
    slot.offset = offset;
}
- (void)setBytes:(const void*)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  if (![self isIndex:index validFor:"setBytes"]) return;
  if (!SM_VALID(bytes && length > 0, "setBytes: length must not be 0, at index %lu", index)) return;
  if (!SM_VALID(length <= kMaxInlineBytes, "setBytes: length(%lu) must be <= 4096, at index %lu", length, index)) return;
  Slot& slot = _slots[index];
  slot = {};
  slot.bytes = std::make_shared<InlineBytes>(bytes, length);
  slot.length = length;
}
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
  if (![self isIndex:index validFor:"setThreadgroupMemoryLength"]) return;
  if (SM_VALID(length % 16 == 0, "setThreadgroupMemoryLength: length(%lu) must be a multiple of 16 bytes", length))
    _threadgroupMemory[index] = length;
}

- (void)updateFence:(id<MTLFence>)fence {
  [self encodeUpdateFence:fence];
}
- (void)waitForFence:(id<MTLFence>)fence {
  [self encodeWaitForFence:fence];
}
- (void)useResource:(id<MTLResource>)resource usage:(MTLResourceUsage)usage {
  if ([self isOpenFor:"useResource"]) _resident.push_back(Reference(resource, buffer->retained));
}
- (void)useResources:(const id<MTLResource>[])resources count:(NSUInteger)count usage:(MTLResourceUsage)usage {
  for (NSUInteger i = 0; i < count; i++) [self useResource:resources[i] usage:usage];
}
- (void)useHeap:(id<MTLHeap>)heap {
  SM_VALID(false, "useHeap: pointers into heaps are not supported: bind buffers, or useResource:");
}
- (void)useHeaps:(const id<MTLHeap>[])heaps count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self useHeap:heaps[i]];
}

- (void)memoryBarrierWithScope:(MTLBarrierScope)scope {
  if (![self isOpenFor:"memoryBarrierWithScope"]) return;
  softmetal::count([](auto& c) { c.memoryBarriers++; });
  if (!(scope & MTLBarrierScopeBuffers)) return;
  [buffer add:[](Execution& state) -> Failure {
    state.ordering.since = softmetal::nextEpoch();
    return {};
  }];
}
- (void)memoryBarrierWithResources:(const id<MTLResource>[])resources count:(NSUInteger)count {
  if (![self isOpenFor:"memoryBarrierWithResources"]) return;
  softmetal::count([](auto& c) { c.memoryBarriers++; });
  std::vector<Reference> ordered;
  for (NSUInteger i = 0; i < count; i++) ordered.push_back(Reference(resources[i], buffer->retained));
  [buffer add:[ordered](Execution&) -> Failure {
    const softmetal::Epoch epoch = softmetal::nextEpoch();
    for (const Reference& reference : ordered)
      if (SMBuffer* target = reference.get()) target->region->orderedSince = epoch;
    return {};
  }];
}

// Every rule about the argument table that a dispatch depends on.
- (BOOL)areArgumentsValid {
  const SmKernel* kernel = _pipeline->kernel;
  NSUInteger memory = _pipeline.staticThreadgroupMemoryLength;
  for (int i = 0; i < kernel->parameterCount; i++) {
    const SmAttribute& attribute = kernel->attributes[i];
    const SmParameter& parameter = kernel->parameters[i];
    if (attribute.kind == kSmBuffer) {
      const Slot& slot = _slots[attribute.index];
      if (!SM_VALID(slot.set(), "%s: missing buffer binding at index %d for %s", kernel->name, attribute.index, kernel->parameterNames[i]))
        return NO;
      if (!SM_VALID(slot.offset % parameter.alignment == 0, "%s: buffer(%d) %s: offset %lu is not aligned to %u", kernel->name,
                    attribute.index, kernel->parameterNames[i], slot.offset, parameter.alignment))
        return NO;
      if (!SM_VALID(!parameter.isReference || slot.length - slot.offset >= parameter.size, "%s: buffer(%d) %s needs %u bytes, has %lu",
                    kernel->name, attribute.index, kernel->parameterNames[i], parameter.size, slot.length - slot.offset))
        return NO;
    } else if (attribute.kind == kSmThreadgroupMemory) {
      const NSUInteger length = _threadgroupMemory[attribute.index];
      if (!SM_VALID(length > 0, "%s: threadgroup(%d) %s has no length", kernel->name, attribute.index, kernel->parameterNames[i]))
        return NO;
      memory += length;
    }
  }
  return SM_VALID(memory <= kMaxThreadgroupMemory, "%s: threadgroup memory (%lu bytes, static and dynamic) exceeds 32768", kernel->name,
                  memory);
}
- (BOOL)isShapeValid:(MTLSize)grid threads:(MTLSize)threads what:(const char*)what {
  if (![self isOpenFor:what] || !SM_VALID(_pipeline != nil, "%s: no compute pipeline is set", what)) return NO;
  const NSUInteger perGroup = threads.width * threads.height * threads.depth;
  const char* name = _pipeline->kernel->name;
  const NSUInteger largest = std::max({grid.width, grid.height, grid.depth});
  return SM_VALID(grid.width && grid.height && grid.depth, "%s: %s: the grid (%lu,%lu,%lu) has a dimension of 0", name, what, grid.width,
                  grid.height, grid.depth) &&
         SM_VALID(perGroup, "%s: %s: threadsPerThreadgroup has a dimension of 0", name, what) &&
         SM_VALID(largest <= UINT_MAX, "%s: %s: a grid dimension does not fit 32 bits", name, what) &&
         SM_VALID(perGroup <= _pipeline->maxThreads, "%s: %s: %lu threads per threadgroup, maxTotalThreadsPerThreadgroup is %lu", name,
                  what, perGroup, _pipeline->maxThreads) &&
         SM_VALID(!_pipeline->wholeSimdgroups || perGroup % kSmSimdWidth == 0,
                  "%s: %s: %lu threads per threadgroup, not a multiple of 32 as the pipeline descriptor promises", name, what, perGroup);
}

struct EncodedDispatch {
  SMPipeline* pipeline;
  Slot slots[kSmBufferCount];
  std::vector<Reference> resident;
  softmetal::Dispatch dispatch;
  Reference indirect;
  NSUInteger indirectOffset = 0;

  Failure run(Execution& state) {
    const SmKernel* kernel = pipeline->kernel;
    std::vector<id> alive;  // nothing goes away while the kernel runs
    for (int i = 0; i < kSmBufferCount; i++) {
      if (!slots[i].set()) continue;
      if (slots[i].bytes) {
        dispatch.buffers[i] = {slots[i].bytes->region(), slots[i].offset};
        continue;
      }
      SMBuffer* target = slots[i].buffer.get();
      if (!target)
        return {MTLCommandBufferErrorInvalidResource,
                softmetal::format("%s: the buffer at index %d was released before the command buffer ran", kernel->name, i)};
      alive.push_back(target);
      dispatch.buffers[i] = {target->region.get(), slots[i].offset};
    }
    dispatch.resident.clear();
    for (const Reference& reference : resident) {
      SMBuffer* target = reference.get();
      if (!target) return {MTLCommandBufferErrorInvalidResource, "a resource was released before the command buffer ran"};
      alive.push_back(target);
      dispatch.resident.push_back(target->region.get());
    }
    if (indirect.set()) {
      SMBuffer* source = indirect.get();
      if (!source) return {MTLCommandBufferErrorInvalidResource, "an indirect buffer was released before the command buffer ran"};
      uint32_t groups[3];
      memcpy(groups, source->region->base + indirectOffset, sizeof groups);
      dispatch.grid = {groups[0], groups[1], groups[2]};
      if (!dispatch.grid.count()) return {};
    }
    if (!state.isConcurrent) state.ordering.since = softmetal::nextEpoch();
    softmetal::DispatchCounts counts;
    const std::string problem = softmetal::execute(dispatch, state.ordering, counts);
    softmetal::countKernel(kernel->name, [&](softmetal::KernelCounters& k) {
      k.dispatches++;
      k.threads += counts.threads;
      k.threadgroups += counts.threadgroups;
      k.barriers += counts.barriers;
      k.bytesRead += counts.bytesRead;
      k.bytesWritten += counts.bytesWritten;
      k.flops += counts.flops;
      k.seconds += counts.seconds;
    });
    if (problem.empty()) return {};
    softmetal::recordViolation(problem);
    return {MTLCommandBufferErrorInternal, problem};
  }
};

- (std::shared_ptr<EncodedDispatch>)encodeGrid:(MTLSize)grid threads:(MTLSize)threads inThreads:(bool)inThreads {
  auto encoded = std::make_shared<EncodedDispatch>();
  encoded->pipeline = _pipeline;
  const SmKernel* kernel = _pipeline->kernel;
  for (int i = 0; i < kernel->parameterCount; i++)
    if (kernel->attributes[i].kind == kSmBuffer) encoded->slots[kernel->attributes[i].index] = _slots[kernel->attributes[i].index];
  encoded->resident = _resident;
  encoded->dispatch.kernel = kernel;
  encoded->dispatch.library = _pipeline->library.get();
  std::copy(std::begin(_threadgroupMemory), std::end(_threadgroupMemory), encoded->dispatch.threadgroupMemory);
  encoded->dispatch.grid = toSize3(grid);
  encoded->dispatch.threadsPerThreadgroup = toSize3(threads);
  encoded->dispatch.gridInThreads = inThreads;
  for (const Slot& slot : _slots) {
    if (!slot.buffer.set()) continue;
    [buffer uses:slot.buffer];
    if ([(SMQueue*)buffer.commandQueue keepsResident:slot.buffer.get()]) softmetal::count([](auto& c) { c.residentBindings++; });
  }
  for (const Reference& reference : _resident) [buffer uses:reference];
  softmetal::count([](auto& c) { c.dispatches++; });
  [buffer add:[encoded](Execution& state) { return encoded->run(state); }];
  return encoded;
}
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads {
  if ([self isShapeValid:groups threads:threads what:"dispatchThreadgroups"] && [self areArgumentsValid])
    [self encodeGrid:groups threads:threads inThreads:false];
}
- (void)dispatchThreads:(MTLSize)grid threadsPerThreadgroup:(MTLSize)threads {
  if ([self isShapeValid:grid threads:threads what:"dispatchThreads"] && [self areArgumentsValid])
    [self encodeGrid:grid threads:threads inThreads:true];
}
- (void)dispatchThreadgroupsWithIndirectBuffer:(id<MTLBuffer>)indirect
                          indirectBufferOffset:(NSUInteger)offset
                         threadsPerThreadgroup:(MTLSize)threads {
  if (!SM_VALID(offset % 4 == 0, "indirectBufferOffset %lu is not a multiple of 4", offset)) return;
  if (!SM_VALID(indirect && offset + 12 <= indirect.length, "the indirect buffer is too small for three uint32 at offset %lu", offset))
    return;
  if (![self isShapeValid:MTLSizeMake(1, 1, 1) threads:threads what:"dispatchThreadgroupsWithIndirectBuffer"] || ![self areArgumentsValid])
    return;
  auto encoded = [self encodeGrid:MTLSizeMake(1, 1, 1) threads:threads inThreads:false];
  encoded->indirect = Reference(indirect, buffer->retained);
  encoded->indirectOffset = offset;
}
@end
