#pragma once

#include "cpu/pool.h"
#include "cpu/winograd_plan.h"

namespace weightnorm::cpu {

// The transformed weights of a convolution, [group][row block][point][input channel, tap group][row]. Made once, kept
// with the weight's storage. [queue] Throws ERR_MEMORY.
const float* packWinograd(const core::ConvOp& op, const WinogradPlan& plan, Pool& pool);

}  // namespace weightnorm::cpu
