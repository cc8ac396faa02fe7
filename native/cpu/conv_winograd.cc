#include "cpu/conv_winograd.h"

#include <algorithm>
#include <vector>

#include "cpu/conv_operands.h"
#include "cpu/operands.h"
#include "cpu/winograd_pack.h"
#include "cpu/winograd_plan.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kLargestDilation = 16;

class WinogradRun {
 public:
  WinogradRun(const core::ConvOp& op, Pool& pool)
      : op_(op), pool_(pool), s_(op, pool.threads()), weights_(packWinograd(op, s_, pool)), operands_(op) {
    offsets_.reserve(static_cast<size_t>(s_.terms()));
    for (int64_t i = 0; i < s_.inputs; ++i) {
      for (int64_t g = 0; g < s_.tapGroups; ++g) offsets_.push_back(static_cast<int32_t>(i * s_.planeStride + g * s_.dilation));
    }
    transformedFloats_ = s_.points * s_.pointStride;
    lineFloats_ = winogradLine(s_.dilation, s_.shifted);
    streamFloats_ = winogradStreams(s_.dilation, s_.shifted);
    sumFloats_ = s_.points * s_.rows * s_.positions;
  }

  void operator()() const {
    const Scratch scratch(op_.y.storage->device(), pool_.threads(), transformedFloats_ + lineFloats_ + streamFloats_ + sumFloats_);
    std::vector<int64_t> transformed(static_cast<size_t>(pool_.threads()), -1);
    pool_.parallelFor(s_.tasks.count(), [&](int64_t task, int worker) {
      const int64_t index = s_.tasks.chunk(task);
      const Chunk chunk = chunkAt(index);
      float* const line = scratch.of(worker) + transformedFloats_;
      int64_t& last = transformed[static_cast<size_t>(worker)];
      if (last != index) transform(chunk, scratch.of(worker), line);
      last = index;
      multiply(chunk, scratch.of(worker), s_.tasks.firstBlock(task), s_.tasks.lastBlock(task), line);
    });
  }

 private:
  // A chunk of positions of one image and group.
  struct Chunk {
    int64_t image, group;
    int64_t start, count;        // outputs
    int64_t positions, shifted;  // the last chunk may need fewer than the plan's
  };

  Chunk chunkAt(int64_t index) const {
    Chunk c{};
    c.start = index % s_.chunks * s_.used * kTileOutputs;
    c.group = index / s_.chunks % s_.groups;
    c.image = index / s_.chunks / s_.groups;
    c.count = std::min(s_.used * kTileOutputs, s_.length - c.start);
    c.positions = std::min(s_.positions, roundUp(divideUp(c.count, kTileOutputs * s_.dilation) * s_.dilation, s_.lanes));
    c.shifted = roundUp(c.positions + (s_.tapGroups - 1) * s_.dilation, s_.lanes);
    return c;
  }

  // V of a chunk; scratch for a line and its streams.
  void transform(const Chunk& chunk, float* transformed, float* line) const {
    for (int64_t i = 0; i < s_.inputs; ++i) {
      GatherRow row = operands_.input(chunk.image, chunk.group * s_.inputs + i, 0);
      row.start = chunk.start - op_.padBegin[1];
      row.count = winogradLine(s_.dilation, chunk.shifted);
      row.out = line;
      get_convKernels().gather(row);
      get_winogradKernels().input(line, s_.dilation, s_.points, chunk.shifted, line + lineFloats_, transformed + i * s_.planeStride,
                                  s_.pointStride);
    }
  }

  // The outputs of the row blocks [first, last); scratch for a line, streams and sums.
  void multiply(const Chunk& chunk, const float* transformed, int64_t first, int64_t last, float* line) const {
    float* const streams = line + lineFloats_;
    float* const sums = streams + streamFloats_;
    const int64_t end = std::min(last * s_.rows, s_.outputs);
    for (int64_t row = first * s_.rows; row < end;) {
      const int rows = rowsAtOnce(std::min(end, (row / s_.rows + 1) * s_.rows) - row, s_.rows);
      const int64_t channel = chunk.group * s_.outputs + row;
      products(transformed, channel, rows, chunk.positions, sums);
      for (int r = 0; r < rows; ++r) {
        get_winogradKernels().output(sums + r * s_.positions, rows * s_.positions, s_.dilation, s_.points, chunk.positions, streams, line);
        get_convKernels().finish(operands_.output(chunk.image, channel + r, chunk.start, line, chunk.count));
      }
      row += rows;
    }
  }

  // sums[point][row][u] for the output channels from `channel` on.
  void products(const float* transformed, int64_t channel, int rows, int64_t positions, float* sums) const {
    const float* w = weights_ + channel * s_.points * s_.terms();
    for (int j = 0; j < s_.points; ++j) {
      get_convKernels().multiply(transformed + j * s_.pointStride, offsets_.data(), s_.terms(), w, rows, sums, s_.positions, positions,
                                 false);
      w += s_.terms() * rows;
      sums += rows * s_.positions;
    }
  }

  const core::ConvOp& op_;
  Pool& pool_;
  const WinogradPlan s_;
  const float* weights_;  // packed before the operands ask for the scale, which that may compute
  const ConvOperands operands_;
  std::vector<int32_t> offsets_;  // of each (input channel, tap group) within a point
  int64_t transformedFloats_, lineFloats_, streamFloats_, sumFloats_;
};

}  // namespace

// Cycles of both ways at two products a cycle, in whole vectors, of which short inputs leave more empty when they are
// transformed. The transforms' costs are measured. Accuracy needs no bound on the width: sums are blocked, so the error stays below
// 0.6 of the layer tolerance from 16 to 1024 channels and from 3 to 41 taps.
bool winogradServes(const core::ConvOp& op) {
  if (op.direct || op.transposed || op.x.shape.rank() != 3 || op.stride[1] != 1) return false;
  const int64_t kernel = op.weight.shape[2], dilation = op.dilation[1], length = op.y.shape[2];
  if (kernel < 3 || dilation > kLargestDilation) return false;
  const int64_t inputs = op.x.shape[1] / op.groups, outputs = op.y.shape[1] / op.groups;
  const int points = kernel == 3 ? 6 : 7;
  const int64_t products = divideUp(kernel, tapsOf(points)) * points;
  const int64_t perChannel = dilation == 1 ? 25 : 42;
  const int64_t transforms = (inputs + outputs) * (points == 6 ? perChannel : perChannel * 9 / 5);
  const int64_t lanes = get_convKernels().lanes;
  const int64_t positions = divideUp(length, kTileOutputs * dilation) * dilation;
  const int64_t transformed = divideUp(positions, lanes) * (inputs * outputs * products / 2 + transforms);
  return positions >= 2 * lanes && transformed < divideUp(length, lanes) * inputs * outputs * kernel / 2;
}

void convWinograd(const core::ConvOp& op, Pool& pool) {
  WinogradRun(op, pool)();
}

}  // namespace weightnorm::cpu
