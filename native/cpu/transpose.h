#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = x with its axes permuted. On the queue's thread and the pool.
void transpose(const core::TransposeOp& op, Pool& pool);

}  // namespace weightnorm::cpu
