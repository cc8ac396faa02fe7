#pragma once

#include "core/ops.h"

namespace weightnorm::addon {

// Numbers of a convolution's geometry, as lib/native.ts documents them.
constexpr size_t kGeometrySlots = 14;

// Kind, parameter and log-scale flag of an activation.
constexpr size_t kActivationSlots = 3;

// Numbers of a convolution, as lib/native.ts documents them: its geometry and its two activations.
constexpr size_t kConvSlots = kGeometrySlots + 2 * kActivationSlots;

// A number from JavaScript as a size; throws ERR_ARGUMENT.
int64_t sizeFrom(double number);

// Stride, dilation, padding, groups, modes and factor of `op` from kGeometrySlots numbers; throws ERR_ARGUMENT.
void readGeometry(const double* slots, core::ConvOp& op);

// An activation from kActivationSlots numbers; throws ERR_ARGUMENT.
core::Activation readActivation(const double* slots, core::Tensor alpha);

}  // namespace weightnorm::addon
