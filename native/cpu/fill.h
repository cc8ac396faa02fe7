#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = one value everywhere. On the queue's thread and the pool.
void fill(const core::FillOp& op, Pool& pool);

}  // namespace weightnorm::cpu
