#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// y = bytes that came with the call. On the queue's thread and the pool.
void upload(const core::UploadOp& op, Pool& pool);

}  // namespace weightnorm::cpu
