#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = activation(x), elementwise; snake by channel. On the queue's thread and the pool.
void activation(const core::ActivationOp& op, Pool& pool);

}  // namespace weightnorm::cpu
