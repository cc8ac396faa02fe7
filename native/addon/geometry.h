#pragma once

#include "core/ops.h"

namespace weightnorm::addon {

// Numbers of a convolution's geometry, as lib/native.ts documents them.
constexpr size_t kGeometrySlots = 14;

// A number from JavaScript as a size; throws ERR_ARGUMENT.
int64_t sizeFrom(double number);

// Stride, dilation, padding, groups, modes and factor of `op` from kGeometrySlots numbers; throws ERR_ARGUMENT.
void readGeometry(const double* slots, core::ConvOp& op);

}  // namespace weightnorm::addon
