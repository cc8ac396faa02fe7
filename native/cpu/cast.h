#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = x in y's dtype. On the queue's thread and the pool.
void cast(const core::CastOp& op, Pool& pool);

}  // namespace weightnorm::cpu
