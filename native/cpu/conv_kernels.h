#pragma once

#include <cstdint>

#include "core/ops.h"
#include "cpu/simd/isa.h"

// The inner loops of convolutions and matrix products, one table an instruction set. Plain data in, plain data out.
namespace weightnorm::cpu {

// Terms summed in one float32 accumulator before it is added to the sum of the blocks before it.
constexpr int64_t kSumBlock = 512;

// The index inside [0, length) that padding `mode` reads for index i; -1 where it reads zero.
inline int64_t paddedIndex(core::PadMode mode, int64_t i, int64_t length) {
  if (i >= 0 && i < length) return i;
  switch (mode) {
    case core::PadMode::kReplicate:
      return i < 0 ? 0 : length - 1;
    case core::PadMode::kCircular: {
      const int64_t r = i % length;
      return r < 0 ? r + length : r;
    }
    case core::PadMode::kReflect: {
      if (length == 1) return 0;
      const int64_t period = 2 * (length - 1);
      int64_t r = i % period;
      if (r < 0) r += period;
      return r < length ? r : period - r;
    }
    default:
      return -1;
  }
}

// A fused activation of one channel.
struct RowActivation {
  core::Act kind = core::Act::kNone;
  float param = 0;
  float alpha = 1;  // snake
  bool logScale = false;
};

// One prepared row: out[q] = scale · act(x[i]) with i = start + q · step, for q < count; indices outside [0, length)
// follow `mode` (zeros are not activated). `x` is the row's first element, of `dtype`.
struct GatherRow {
  const void* x;
  core::DType dtype;
  core::PadMode mode;
  int64_t length, start, step, count;
  RowActivation act;
  float scale;
  float* out;
  // With piece > 0 (step 1, zeros): out[q] takes i = start + q / piece · pieceStep + q % piece instead.
  int64_t piece = 0, pieceStep = 0;
};

// One finished row: y[i] = act(outScale · (scale · sum[i] + bias + residual[i] + running[i])), i < count.
// The pointers address the row's first element, all of `dtype`; residual and running may be null, and may be y.
struct FinishRow {
  float* sum;  // overwritten
  int64_t count;
  core::DType dtype;
  float scale, bias, outScale;
  RowActivation act;
  const void* residual;
  const void* running;
  void* y;
};

// Memory that will be read soon, to be brought into the second-level cache: a line for each term, `step` floats further each.
struct Fetch {
  const float* from;
  int64_t step;
};

struct ConvKernels {
  int lanes;
  int rows;  // of a full row block; smaller powers of two serve remainders

  // sums[m · sumStride + j] = Σ_t weights[t · rows + m] · x[offsets[t] + j] for m < rows and j < width, a multiple of
  // the lanes; kSumBlock terms at a time, each block in order, on top of what is there with `add`. `rows` is a power of
  // two up to the table's.
  void (*multiply)(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums, int64_t sumStride,
                   int64_t width, bool add);
  // The same while something else is fetched, where a full tile does all of it: fetches in one go would hold up its loads.
  void (*multiplyBeside)(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums,
                         int64_t sumStride, int64_t width, bool add, Fetch beside);
  // The same as multiply where x is read in runs of `run` floats (whole vectors) whose starts are `pitch` floats apart; the sums lie
  // without gaps between the runs. Each sum has the bits that multiply gives it.
  void (*multiplyRuns)(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums,
                       int64_t sumStride, int64_t width, int64_t run, int64_t pitch);
  void (*gather)(const GatherRow& row);
  void (*finish)(const FinishRow& row);
  // out[i · count + r] = rows[r][i] for i < n, r < count.
  void (*interleave)(const float* const* rows, int count, int64_t n, float* out);
};

WEIGHTNORM_KERNELS(ConvKernels, convKernels)

}  // namespace weightnorm::cpu
