// Index arithmetic over axes with strides; metal/strided.h is the host's side. Included by kernels with a kWide constant.
#pragma once
#include "common.h"

struct Axes {
  ulong size[8], first[8], second[8];  // outermost first; strides in elements of two operands
  uint rank;
  uint unused;
};

// Where the row-major `index` over the axes lies in both operands.
template <typename Index>
inline ulong2 offsets_of(Index index, constant Axes& axes) {
  ulong2 offsets = ulong2(0, 0);
  for (uint i = axes.rank; i > 0; i--) {
    const Index size = Index(axes.size[i - 1]), at = index % size;
    index /= size;
    offsets.x += ulong(at) * axes.first[i - 1];
    offsets.y += ulong(at) * axes.second[i - 1];
  }
  return offsets;
}

inline ulong2 offsets(bool is_wide, ulong index, constant Axes& axes) {
  return is_wide ? offsets_of<ulong>(index, axes) : offsets_of<uint>(uint(index), axes);
}
