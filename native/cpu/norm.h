#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// n = ‖v‖ over the reduced axes, float32. On the queue's thread and the pool.
void norm(const core::NormOp& op, Pool& pool);

}  // namespace weightnorm::cpu
