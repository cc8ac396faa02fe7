#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = x with every step of the last axis repeated. On the queue's thread and the pool.
void interpolate(const core::InterpolateOp& op, Pool& pool);

}  // namespace weightnorm::cpu
