// Index arithmetic of any kept / reduced nest (core::Nest): a kept index and a reduced index, both row-major over their
// own axes, to the element of the full tensor. Outermost axis first; unused axes have size 1.
#pragma once
#include "norm_rows.h"

struct NestParams {  // NestParams in norm_plan.h
  ulong keptSize[4], keptStride[4], reducedSize[4], reducedStride[4];
  ulong reduced;  // elements a norm
  NormRule rule;
};

inline ulong nest_offset(ulong index, constant ulong* size, constant ulong* stride) {
  ulong offset = 0;
  for (int i = 3; i > 0; i--) {
    if (size[i] == 1) continue;
    offset += index % size[i] * stride[i];
    index /= size[i];
  }
  return offset + index * stride[0];
}
