#include "metal/encoder.h"

#include <algorithm>
#include <bit>

#include "metal/command_stream.h"
#include "metal/metal_device.h"
#include "metal/overrides.h"

namespace weightnorm::metal {

namespace {

constexpr uint64_t kElementwiseThreads = 256;

CommandStream::Use streamUse(const core::Tensor& tensor, Access access) {
  return {&metalBuffer(tensor), tensor.storage, access};
}

}  // namespace

const Pipeline& Encoder::pipeline(const std::string& library, const std::string& function, const Constants& constants) {
  return device_.pipelines().get(library, function, constants);
}

Memory Encoder::memory(uint64_t bytes) {
  return device_.allocator().allocate(bytes);
}

void Encoder::external(std::initializer_list<Use> uses, const std::function<void(id<MTLCommandBuffer>)>& encode) {
  std::vector<CommandStream::Use> list;
  for (const Use& use : uses) {
    list.push_back(use.tensor ? streamUse(*use.tensor, use.access) : CommandStream::Use{use.memory, nullptr, use.access});
  }
  stream_.external(list, encode);
}

void Encoder::keep(id object) {
  stream_.keep(object);
}

Dispatch& Dispatch::bind(uint32_t index, const core::Tensor& tensor, Access access) {
  if (!tensor) {
    absent_.push_back(index);
    return *this;
  }
  bound_.push_back({index, &metalBuffer(tensor), tensor.storage, access});
  traffic_ += tensor.bytes();
  return *this;
}

Dispatch& Dispatch::bind(uint32_t index, MetalBuffer& memory, Access access) {
  bound_.push_back({index, &memory, nullptr, access});
  traffic_ += memory.bytes();
  return *this;
}

Dispatch& Dispatch::uses(const core::Tensor& tensor, Access access) {
  return bind(Bound::kTable, tensor, access);
}

Dispatch& Dispatch::bytes(uint32_t index, const void* data, size_t size) {
  const auto* first = static_cast<const std::byte*>(data);
  bytes_.push_back({index, {first, first + size}});
  return *this;
}

Dispatch& Dispatch::threadgroupMemory(uint32_t index, size_t size) {
  threadgroup_.emplace_back(index, (size + 15) / 16 * 16);
  return *this;
}

void Dispatch::threads(MTLSize grid, MTLSize group) {
  encode(grid, group, false);
}

void Dispatch::groups(MTLSize count, MTLSize group) {
  encode(count, group, true);
}

void Dispatch::encode(MTLSize size, MTLSize group, bool whole) {
  const NSUInteger threads = group.width * group.height * group.depth;
  if (threads > pipeline_.maxThreads) {
    throw core::Error(core::Code::kExecution, core::format("a kernel was given %lu threads a threadgroup; this GPU allows it %u",
                                                           static_cast<unsigned long>(threads), pipeline_.maxThreads));
  }
  std::vector<CommandStream::Use> uses;
  uses.reserve(bound_.size());
  for (const Bound& bound : bound_) uses.push_back({bound.buffer, bound.storage, bound.access});
  id<MTLComputeCommandEncoder> encoder = encoder_.stream().prepare(uses, traffic_);

  [encoder setComputePipelineState:pipeline_.state];
  for (const Bound& bound : bound_) {
    id<MTLBuffer> handle = bound.buffer->handle();
    if (bound.index == Bound::kTable) {
      [encoder useResource:handle usage:bound.access == Access::kRead ? MTLResourceUsageRead : MTLResourceUsageWrite];
    } else {
      [encoder setBuffer:handle offset:0 atIndex:bound.index];
    }
  }
  for (const uint32_t index : absent_) [encoder setBuffer:encoder_.device().placeholder() offset:0 atIndex:index];
  for (const Bytes& bytes : bytes_) [encoder setBytes:bytes.data.data() length:bytes.data.size() atIndex:bytes.index];
  for (const auto& [index, length] : threadgroup_) [encoder setThreadgroupMemoryLength:length atIndex:index];
  if (whole) {
    [encoder dispatchThreadgroups:size threadsPerThreadgroup:group];
  } else {
    [encoder dispatchThreads:size threadsPerThreadgroup:group];
  }
}

Launch linear(const Pipeline& pipeline, uint64_t count) {
  const uint64_t threads = std::min(count, overrides().maxGridThreads);
  const uint64_t width = std::min({kElementwiseThreads, static_cast<uint64_t>(pipeline.maxThreads), std::bit_ceil(threads)});
  return {MTLSizeMake(threads, 1, 1), MTLSizeMake(width, 1, 1)};
}

Launch rows(const Pipeline& pipeline, uint64_t rowCount, uint64_t columns) {
  const uint64_t threads = std::bit_floor(std::min(kElementwiseThreads, static_cast<uint64_t>(pipeline.maxThreads)));
  const uint64_t width = std::min(threads, std::bit_ceil(columns));
  const uint64_t height = std::min(threads / width, std::bit_ceil(rowCount));
  const uint64_t x = std::min(columns, overrides().maxGridThreads);
  const uint64_t y = std::min(rowCount, std::max<uint64_t>(1, overrides().maxGridThreads / x));
  return {MTLSizeMake(x, y, 1), MTLSizeMake(width, height, 1)};
}

bool wide(std::initializer_list<int64_t> sizes) {
  // Half of 32 bits, so that a kernel may add a stride to an index without wrapping.
  constexpr int64_t kNarrow = int64_t{1} << 31;
  return overrides().wideIndices || std::any_of(sizes.begin(), sizes.end(), [](int64_t size) { return size > kNarrow; });
}

}  // namespace weightnorm::metal
