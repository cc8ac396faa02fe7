#pragma once

#include "core/ops.h"
#include "cpu/chunks.h"
#include "cpu/winograd_kernels.h"

namespace weightnorm::cpu {

// Sizes of a convolution's transformed problem, V[point][input channel][u] from x and
// M[point][row][u] = Σ W[point][row][input channel, tap group] · V, and how it is cut up for `threads` threads.
struct WinogradPlan {
  WinogradPlan(const core::ConvOp& op, int threads);

  int64_t batch, groups, inputs, outputs, kernel, length, dilation;  // channels of one group
  int points;
  int64_t tapGroups;
  int64_t lanes, rows, blocks;  // rows of a full row block, row blocks of one group

  int64_t used;                      // positions u of a chunk, a multiple of the dilation
  int64_t positions;                 // the same in whole vectors
  int64_t chunks;                    // of one image and group
  int64_t shifted;                   // u of transformed input: positions and the shifts of the tap groups
  int64_t planeStride, pointStride;  // of transformed input, in floats: an input channel's, a point's
  ConvTasks tasks;

  int64_t terms() const { return inputs * tapGroups; }
  int64_t images() const { return batch * groups; }
};

// The largest power of two up to `most` that fits into `rows`.
inline int rowsAtOnce(int64_t rows, int64_t most) {
  int64_t block = most;
  while (block > rows) block /= 2;
  return static_cast<int>(block);
}

}  // namespace weightnorm::cpu
