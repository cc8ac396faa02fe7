#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// s = g / ‖v‖ of every segment, float32, in one parallel pass over all of them. On the queue's thread and the pool.
void scale(const core::ScaleOp& op, Pool& pool);

}  // namespace weightnorm::cpu
