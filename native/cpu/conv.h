#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Runs a convolution of any kind on the queue's thread and the pool; the same bits for any number of threads.
// Weights are packed once and kept with their storage. Throws ERR_MEMORY.
void conv(const core::ConvOp& op, Pool& pool);

}  // namespace weightnorm::cpu
