#pragma once

#include <napi.h>

#include <cstdint>

#include "core/ops.h"

namespace weightnorm::addon {

// A copy of a typed array's numbers in `dtype`, rounded to nearest even once (also from float64). With `bits` the array
// already holds the dtype's bits. Throws ERR_SHAPE unless it has `count` elements, ERR_DTYPE for BigInt arrays.
core::HostBytes convert(Napi::Value data, int64_t count, core::DType dtype, bool bits);

// `count` normal values of mean 0 and deviation `std`: Marsaglia's polar method on splitmix64, with a logarithm made of
// basic operations only, so every platform gives the same bits.
core::HostBytes randn(int64_t count, core::DType dtype, uint64_t seed, double std);

}  // namespace weightnorm::addon
