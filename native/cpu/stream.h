#pragma once

#include "core/stream_op.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

void stream(const core::StreamOp& op, Pool& pool);

}  // namespace weightnorm::cpu
