#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = x padded on the last axis. On the queue's thread and the pool.
void pad(const core::PadOp& op, Pool& pool);

}  // namespace weightnorm::cpu
