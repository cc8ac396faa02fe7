#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = a ∘ b with NumPy broadcasting, or with a number. On the queue's thread and the pool.
void arithmetic(const core::ArithmeticOp& op, Pool& pool);

}  // namespace weightnorm::cpu
