#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Whether the Toom-Cook algorithm computes this convolution within the layer tolerance and faster than directly:
// stride 1, not transposed, not `direct`, enough channels and length. The last axis is transformed; an image's rows are taken one by one.
bool winogradServes(const core::ConvOp& op);

// Runs a convolution that winogradServes; the same bits for any number of threads. Throws ERR_MEMORY.
// Four outputs a tile from 6 products for 3 taps, or 7 products for each group of 4 taps.
void convWinograd(const core::ConvOp& op, Pool& pool);

}  // namespace weightnorm::cpu
