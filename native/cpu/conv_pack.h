#pragma once

#include "cpu/conv_plan.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Weights of a plan as float32, in the order the row blocks of its classes are multiplied:
// [group][channel block][class][row block][input channel, tap][row]. A class has channelBlock · phases rows, channel
// major, cut into row blocks by rowBlocks(). Made once, kept with the weight's storage. [queue] Throws ERR_MEMORY.
const float* packConv(const core::ConvOp& op, const ConvPlan& plan, const ConvKernels& kernels, Pool& pool);

// Floats before a channel block and class in the packed weights.
int64_t packedOffset(const ConvPlan& plan, int64_t group, int64_t block, size_t classIndex);

// The output channels of a channel block: channelBlock, or what is left.
int64_t channelsOf(const ConvPlan& plan, int64_t block);

// The largest power of two up to the kernels' rows that fits into `rows`.
int rowBlock(int64_t rows, const ConvKernels& kernels);

}  // namespace weightnorm::cpu
