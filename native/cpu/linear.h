#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Runs a linear layer on the queue's thread and the pool. Up to kDotRows rows read the weight as it is; more rows use
// panels packed once and kept with the weight's storage. Throws ERR_MEMORY.
void linear(const core::LinearOp& op, Pool& pool);

}  // namespace weightnorm::cpu
