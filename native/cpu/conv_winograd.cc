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
constexpr int64_t kLargestImageDilation = 2;   // such tiles carry a non-finite value no further than neighbours may see it
constexpr int64_t kLargestMargin = 8;          // input rows
constexpr int64_t kLargestImage = 512 * 1024;  // floats of transformed rows

class WinogradRun {
 public:
  WinogradRun(const core::ConvOp& op, Pool& pool)
      : op_(op), pool_(pool), s_(op, pool.threads()), weights_(packWinograd(op, s_, pool)), operands_(op) {
    offsets_.reserve(static_cast<size_t>(s_.terms()));
    for (int64_t i = 0; i < s_.inputs; ++i) {
      for (int64_t r = 0; r < s_.kernelRows; ++r) {
        for (int64_t g = 0; g < s_.tapGroups; ++g)
          offsets_.push_back(static_cast<int32_t>(i * s_.planeStride + r * s_.rowDilation * s_.pitch + g * s_.dilation));
      }
    }
    transformedFloats_ = s_.points * s_.pointStride;
    const int64_t longest = std::max(s_.shifted, s_.positions);
    lineFloats_ = winogradLine(s_.dilation, longest);
    streamFloats_ = winogradStreams(s_.dilation, longest);
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
  // A chunk of positions of one image and group: a part of its row, or some of its rows.
  struct Chunk {
    int64_t image, group;
    int64_t firstRow, rows;      // outputs
    int64_t start, count;        // outputs of each row
    int64_t positions, shifted;  // the last chunk may need fewer than the plan's
  };

  Chunk chunkAt(int64_t index) const {
    Chunk c{};
    const int64_t at = index % s_.chunks;
    c.group = index / s_.chunks % s_.groups;
    c.image = index / s_.chunks / s_.groups;
    if (image()) {
      c.firstRow = at * s_.chunkRows;
      c.rows = std::min(s_.chunkRows, s_.height - c.firstRow);
      c.count = s_.length;
      c.positions = roundUp((c.rows - 1) * s_.pitch + s_.used, s_.lanes);
      c.shifted = s_.shifted;
      return c;
    }
    c.rows = 1;
    c.start = at * s_.used * kTileOutputs;
    c.count = std::min(s_.used * kTileOutputs, s_.length - c.start);
    c.positions = std::min(s_.positions, roundUp(divideUp(c.count, kTileOutputs * s_.dilation) * s_.dilation, s_.lanes));
    c.shifted = roundUp(c.positions + (s_.tapGroups - 1) * s_.dilation, s_.lanes);
    return c;
  }

  bool image() const { return op_.x.shape.rank() == 4; }

  // V of a chunk; scratch for a line and its streams. Rows are written in whole vectors, upwards: the next repairs what they overwrite.
  void transform(const Chunk& chunk, float* transformed, float* line) const {
    for (int64_t i = 0; i < s_.inputs; ++i) {
      float* v = transformed + i * s_.planeStride;
      for (int64_t r = 0; r < chunk.rows + s_.margin(); ++r, v += s_.pitch) {
        const int64_t from = image() ? paddedIndex(op_.padMode, chunk.firstRow + r - op_.padBegin[0], op_.x.shape[2]) : 0;
        if (from < 0) {
          for (int j = 0; j < s_.points; ++j) std::fill_n(v + j * s_.pointStride, chunk.shifted, 0.0f);
          continue;
        }
        GatherRow row = operands_.input(chunk.image, chunk.group * s_.inputs + i, from);
        row.start = chunk.start - op_.padBegin[1];
        row.count = winogradLine(s_.dilation, chunk.shifted);
        row.out = line;
        get_convKernels().gather(row);
        get_winogradKernels().input(line, s_.dilation, s_.points, chunk.shifted, line + lineFloats_, v, s_.pointStride);
      }
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
        for (int64_t y = 0; y < chunk.rows; ++y) {
          const int64_t element = (chunk.firstRow + y) * s_.length + chunk.start;
          get_convKernels().finish(operands_.output(chunk.image, channel + r, element, line + y * s_.pitch * kTileOutputs, chunk.count));
        }
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
  std::vector<int32_t> offsets_;  // of each (input channel, kernel row, tap group) within a point
  int64_t transformedFloats_, lineFloats_, streamFloats_, sumFloats_;
};

}  // namespace

// Cycles of both ways at two products a cycle, in whole vectors, of which short inputs leave more empty when they are
// transformed. The transforms' costs are measured. Accuracy needs no bound on the width: sums are blocked, so the error stays below
// 0.6 of the layer tolerance from 16 to 1024 channels and from 3 to 41 taps.
bool winogradServes(const core::ConvOp& op) {
  if (op.direct || op.transposed || op.stride[0] != 1 || op.stride[1] != 1) return false;
  const bool image = op.x.shape.rank() == 4;
  const int last = image ? 3 : 2;
  const int64_t kernel = op.weight.shape[last], dilation = op.dilation[1], length = op.y.shape[last];
  if (kernel < 3 || dilation > (image ? kLargestImageDilation : kLargestDilation)) return false;
  const int64_t inputs = op.x.shape[1] / op.groups, outputs = op.y.shape[1] / op.groups;
  const int points = kernel == 3 ? 6 : 7;
  const int64_t tapGroups = divideUp(kernel, tapsOf(points)), products = tapGroups * points;
  const int64_t transform = points == 6 ? (dilation == 1 ? 25 : 56) : (dilation == 1 ? 45 : 75);
  const int64_t lanes = get_convKernels().lanes;
  const int64_t positions = divideUp(length, kTileOutputs * dilation) * dilation;
  const int64_t vectors = divideUp(positions, lanes);
  if (!image) {
    const int64_t transformed = vectors * (inputs * outputs * products / 2 + (inputs + outputs) * transform);
    return positions >= 2 * lanes && transformed < divideUp(length, lanes) * inputs * outputs * kernel / 2;
  }
  const int64_t kernelRows = op.weight.shape[2], height = op.y.shape[2], margin = (kernelRows - 1) * op.dilation[0];
  const int64_t pitch = positions + (tapGroups - 1) * dilation;
  // Rows that long, or that far apart, would leave the cache, and more of them be transformed twice than not.
  if (margin > kLargestMargin || (2 * margin + 1) * pitch * points * inputs > kLargestImage) return false;
  const int64_t all = divideUp(height * pitch, lanes);
  const int64_t rows = 2 * height * divideUp(pitch, lanes);  // some twice, each with vectors that are not full
  const int64_t transformed = all * (inputs * outputs * kernelRows * products / 2 + outputs * transform) + rows * inputs * transform;
  return all >= 2 && transformed < divideUp(height * length, lanes) * inputs * outputs * kernelRows * kernel / 2;
}

void convWinograd(const core::ConvOp& op, Pool& pool) {
  WinogradRun(op, pool)();
}

}  // namespace weightnorm::cpu
