#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// gradV and gradG of w = v · (g / ‖v‖), everything between the tensors in float64. On the queue's thread and the pool.
void weightNormBackward(const core::WeightNormBackwardOp& op, Pool& pool);

}  // namespace weightnorm::cpu
