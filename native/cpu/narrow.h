#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = a range of x along one axis. On the queue's thread and the pool.
void narrow(const core::NarrowOp& op, Pool& pool);

}  // namespace weightnorm::cpu
