#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

// Working memory of one operation, one piece of `floats` values for each worker. Throws ERR_MEMORY.
class Scratch {
 public:
  Scratch(core::Device& device, int workers, int64_t floats);
  float* of(int worker) const { return data_ + worker * stride_; }

 private:
  int64_t stride_;
  std::unique_ptr<core::Buffer> memory_;
  float* data_;
};

// A per-channel operand of any dtype as `count` float32 values; one element serves all. Empty where it is absent.
std::vector<float> channelValues(const core::Tensor& tensor, int64_t count);

// The first byte of a tensor; null where it is absent.
inline const std::byte* bytesOf(const core::Tensor& tensor) {
  return tensor ? dataOf<const std::byte>(tensor) : nullptr;
}

}  // namespace weightnorm::cpu
