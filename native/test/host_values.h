#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/ops.h"

// Values of any dtype as they lie in host memory.
namespace testing {

namespace core = weightnorm::core;

inline uint16_t bitsOf(float x, core::DType half) {
  return half == core::DType::kFloat16 ? core::floatToHalf(x) : core::floatToBFloat(x);
}
inline float valueOf(uint16_t bits, core::DType half) {
  return half == core::DType::kFloat16 ? core::halfToFloat(bits) : core::bfloatToFloat(bits);
}
inline float roundTo(float x, core::DType dtype) {
  return dtype == core::DType::kFloat32 ? x : valueOf(bitsOf(x, dtype), dtype);
}

inline std::shared_ptr<std::byte[]> toBytes(const std::vector<float>& values, core::DType dtype) {
  const size_t size = core::sizeOf(dtype);
  const auto bytes = core::hostBytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    if (size == 4) {
      std::memcpy(bytes.get() + 4 * i, &values[i], 4);
    } else {
      const uint16_t bits = bitsOf(values[i], dtype);
      std::memcpy(bytes.get() + 2 * i, &bits, 2);
    }
  }
  return bytes;
}
inline std::vector<float> toValues(const void* data, size_t count, core::DType dtype) {
  const auto* bytes = static_cast<const std::byte*>(data);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    if (dtype == core::DType::kFloat32) {
      std::memcpy(&values[i], bytes + 4 * i, 4);
    } else {
      uint16_t bits;
      std::memcpy(&bits, bytes + 2 * i, 2);
      values[i] = valueOf(bits, dtype);
    }
  }
  return values;
}

}  // namespace testing
