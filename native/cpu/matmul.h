#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Runs a batched matrix product on the queue's thread and the pool. Throws ERR_MEMORY.
void matmul(const core::MatmulOp& op, Pool& pool);

}  // namespace weightnorm::cpu
