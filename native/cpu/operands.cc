#include "cpu/operands.h"

#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

// Whole cache lines between workers, and not a power of two apart.
Scratch::Scratch(core::Device& device, int workers, int64_t floats)
    : stride_((floats + 15) / 16 * 16 + 16 + 32),
      memory_(device.allocate(static_cast<uint64_t>(stride_ * workers) * sizeof(float))),
      data_(reinterpret_cast<float*>(static_cast<CpuBuffer&>(*memory_).data())) {}

std::vector<float> channelValues(const core::Tensor& tensor, int64_t count) {
  if (!tensor) return {};
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  get_vecTable().convert(bytesOf(tensor), tensor.dtype, values.data(), core::DType::kFloat32, tensor.size());
  // A new vector: assign may free what a reference to its own element points to.
  if (values.size() == 1) return std::vector<float>(static_cast<size_t>(count), values[0]);
  return values;
}

}  // namespace weightnorm::cpu
