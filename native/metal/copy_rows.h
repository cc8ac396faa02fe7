#pragma once

#include "metal/encoder.h"

namespace weightnorm::metal {

// Rows of `from` copied into rows of `to`, elements of one size; strides and starts in elements.
struct CopyRows {
  uint64_t rows, columns, fromStride, fromStart, toStride, toStart;
};
// `library`: the operation whose kernel library has copy_rows.
void copyRows(Encoder& encoder, const char* library, const core::Tensor& from, const core::Tensor& to, CopyRows copy);

}  // namespace weightnorm::metal
