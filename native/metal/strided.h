#pragma once

#include <cstdint>

#include "core/shape.h"

namespace weightnorm::metal {

// Axes with strides (elements) in two operands, outermost first: kernels/strided.h's struct.
struct Axes {
  uint64_t size[core::kMaxRank] = {}, first[core::kMaxRank] = {}, second[core::kMaxRank] = {};
  uint32_t rank = 0;
  uint32_t unused = 0;

  void add(uint64_t extent, uint64_t firstStride, uint64_t secondStride = 0) {
    size[rank] = extent;
    first[rank] = firstStride;
    second[rank] = secondStride;
    ++rank;
  }
  uint64_t count() const {
    uint64_t product = 1;
    for (uint32_t i = 0; i < rank; ++i) product *= size[i];
    return product;
  }
};
static_assert(sizeof(Axes) == 200);

}  // namespace weightnorm::metal
