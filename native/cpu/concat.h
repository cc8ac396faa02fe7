#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = the parts joined along one axis. On the queue's thread and the pool.
void concat(const core::ConcatOp& op, Pool& pool);

}  // namespace weightnorm::cpu
