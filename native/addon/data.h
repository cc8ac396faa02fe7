#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace weightnorm::addon {

// Writes a typed array's `count` numbers to `to` in `dtype`, rounded to nearest even once (also from float64). With `bits` the
// array already holds the dtype's bits. Throws ERR_SHAPE unless it has `count` elements, ERR_DTYPE for BigInt arrays.
void convert(Napi::Value data, int64_t count, core::DType dtype, bool bits, std::byte* to);

// `count` normal values of mean 0 and deviation `std`: Marsaglia's polar method on splitmix64, with a logarithm made of
// basic operations only, so every platform gives the same bits.
void randn(int64_t count, core::DType dtype, uint64_t seed, double std, std::byte* to);

}  // namespace weightnorm::addon
