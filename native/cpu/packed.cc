#include "cpu/packed.h"

#include <utility>

namespace weightnorm::cpu {

Packed::Packed(core::Device& device, PackKey key, int64_t floats)
    : device_(device), key_(std::move(key)), bytes_(static_cast<uint64_t>(floats) * sizeof(float)) {
  device_.budget().reserve(bytes_);
  try {
    memory_ = device_.allocate(bytes_);
  } catch (...) {
    device_.budget().release(bytes_);
    throw;
  }
  data_ = reinterpret_cast<float*>(static_cast<CpuBuffer&>(*memory_).data());
}

Packed::~Packed() {
  device_.budget().release(bytes_);
}

}  // namespace weightnorm::cpu
