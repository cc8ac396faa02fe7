#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = Σ x or the mean over the reduced axes, float64 partial sums, rounded once. On the queue's thread and the pool.
void reduce(const core::ReduceOp& op, Pool& pool);

}  // namespace weightnorm::cpu
