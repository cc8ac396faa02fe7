#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// w = v · (g / ‖v‖), the shape and dtype of v. On the queue's thread and the pool.
void weightNorm(const core::WeightNormOp& op, Pool& pool);

}  // namespace weightnorm::cpu
