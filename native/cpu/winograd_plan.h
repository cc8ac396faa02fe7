#pragma once

#include "core/ops.h"
#include "cpu/chunks.h"
#include "cpu/winograd_kernels.h"

namespace weightnorm::cpu {

// Sizes of a convolution's transformed problem, V[point][input channel][u] from x and
// M[point][row][u] = Σ W[point][row][input channel, kernel row, tap group] · V, and how it is cut up for `threads` threads. Rows of an
// image are transformed each by itself and lie `pitch` positions u apart, those of V as those of M, so a kernel row is a shift of V.
struct WinogradPlan {
  WinogradPlan(const core::ConvOp& op, int threads);

  int64_t batch, groups, inputs, outputs;   // channels of one group
  int64_t kernel, length, dilation;         // along the transformed axis, of the output
  int64_t kernelRows, height, rowDilation;  // across it; one row without such an axis
  int points;
  int64_t tapGroups;
  int64_t lanes, rows, blocks;  // rows of a full row block, row blocks of one group

  int64_t used;                      // positions u of a chunk's row, a multiple of the dilation
  int64_t chunkRows;                 // output rows of a chunk: one, or several whole ones
  int64_t pitch;                     // from one row to the next
  int64_t positions;                 // of a chunk, in whole vectors
  int64_t chunks;                    // of one image and group
  int64_t shifted;                   // u of a transformed row: positions and the shifts of the tap groups
  int64_t planeStride, pointStride;  // of transformed input, in floats: an input channel's, a point's
  ConvTasks tasks;

  int64_t terms() const { return inputs * kernelRows * tapGroups; }
  int64_t margin() const { return (kernelRows - 1) * rowDilation; }  // input rows of a chunk beyond its output rows
  int64_t images() const { return batch * groups; }

 private:
  void cutRow(int threads);
  void cutImage(int threads);
};

// The largest power of two up to `most` that fits into `rows`.
inline int rowsAtOnce(int64_t rows, int64_t most) {
  int64_t block = most;
  while (block > rows) block /= 2;
  return static_cast<int>(block);
}

}  // namespace weightnorm::cpu
