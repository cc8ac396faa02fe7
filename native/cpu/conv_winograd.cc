#include "cpu/conv_winograd.h"

#include <algorithm>
#include <vector>

#include "cpu/conv_operands.h"
#include "cpu/operands.h"
#include "cpu/packed.h"
#include "cpu/simd/vec_table.h"
#include "cpu/winograd_kernels.h"

namespace weightnorm::cpu {

namespace {

int64_t divideUp(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t roundUp(int64_t a, int64_t b) {
  return divideUp(a, b) * b;
}

constexpr int64_t kLargestDilation = 16;
constexpr int64_t kTransformedFloats = 96 * 1024;  // of one chunk's input

// Sizes of the transformed problem: V[j][input channel][u] from x, M[j][row][u] = Σ W[j][row][input, group] · V.
struct Shape {
  explicit Shape(const core::ConvOp& op)
      : batch(op.x.shape[0]),
        groups(op.groups),
        inputs(op.x.shape[1] / op.groups),
        outputs(op.y.shape[1] / op.groups),
        kernel(op.weight.shape[2]),
        length(op.y.shape[2]),
        dilation(op.dilation[1]),
        points(kernel == 3 ? 6 : 7),
        tapGroups(divideUp(kernel, tapsOf(points))),
        lanes(get_convKernels().lanes),
        rows(get_convKernels().rows),
        blocks(divideUp(outputs, rows)) {
    const int64_t unit = 3 * lanes;
    const int64_t room = std::clamp(kTransformedFloats / (points * inputs) / unit * unit, 2 * unit, 6 * unit);
    const int64_t needed = divideUp(length, kTileOutputs * dilation) * dilation;
    // Even chunks, cut at multiples of the dilation, of whole vectors.
    const int64_t count = divideUp(needed, room / dilation * dilation);
    used = std::min(roundUp(divideUp(needed, count), dilation), room / dilation * dilation);
    chunks = divideUp(needed, used);
    positions = roundUp(used, lanes);
    shifted = roundUp(positions + (tapGroups - 1) * dilation, lanes);
    planeStride = shifted + lanes;
    if (planeStride % 512 == 0) planeStride += 16;
  }

  int64_t batch, groups, inputs, outputs, kernel, length, dilation;
  int points;
  int64_t tapGroups;
  int64_t lanes, rows, blocks;
  int64_t used;       // positions u of a chunk, a multiple of the dilation
  int64_t positions;  // the same in whole vectors
  int64_t chunks;
  int64_t shifted;      // u of transformed input: positions and the shifts of the tap groups
  int64_t planeStride;  // of transformed input, in floats

  int64_t terms() const { return inputs * tapGroups; }
};

int rowBlock(int64_t rows, int64_t most) {
  int64_t block = most;
  while (block > rows) block /= 2;
  return static_cast<int>(block);
}

// Toom-Cook's interpolation, G[j][k] = point[j]^k / Π (point[j] − the others); the last row stands for infinity.
void winogradFactors(int points, WinogradFactors& factors) {
  constexpr double kPoints[] = {0, 1, -1, 2, -2, -0.5};
  const int finite = points - 1, taps = static_cast<int>(tapsOf(points));
  for (int j = 0; j < finite; ++j) {
    double value = 1;
    for (int i = 0; i < finite; ++i) {
      if (i != j) value /= kPoints[j] - kPoints[i];
    }
    for (int k = 0; k < taps; ++k, value *= kPoints[j]) factors[j][k] = value;
  }
  for (int k = 0; k < taps; ++k) factors[finite][k] = k == taps - 1 ? 1 : 0;
}

// Transforms `rows` output channels' weights to [point][input channel, tap group][row].
class WeightTransform {
 public:
  WeightTransform(const core::ConvOp& op, const Shape& shape) : s_(shape), weight_(bytesOf(op.weight)), dtype_(op.weight.dtype) {
    winogradFactors(s_.points, factors_);
  }

  int64_t scratchFloats() const { return s_.rows * (2 * perChannel() + tapsOf(s_.points) * s_.terms()); }

  void operator()(int64_t channel, int rows, float* scratch, float* out) const {
    float* const lines = scratch;
    float* const mixed = lines + s_.rows * perChannel();
    float* const taps = mixed + s_.rows * perChannel();
    const float* from[8];
    for (int r = 0; r < rows; ++r) {
      from[r] = lines + r * perChannel();
      get_vecTable().convert(weight_ + static_cast<uint64_t>((channel + r) * perChannel()) * sizeOf(dtype_), dtype_,
                             lines + r * perChannel(), core::DType::kFloat32, perChannel());
    }
    get_convKernels().interleave(from, rows, perChannel(), mixed);
    const int64_t count = s_.terms() * rows;
    for (int64_t k = 0; k < tapsOf(s_.points); ++k) {
      for (int64_t term = 0; term < s_.terms(); ++term) {
        const int64_t tap = term % s_.tapGroups * tapsOf(s_.points) + k;
        const float* element = mixed + (term / s_.tapGroups * s_.kernel + tap) * rows;
        float* const to = taps + k * count + term * rows;
        for (int r = 0; r < rows; ++r) to[r] = tap < s_.kernel ? element[r] : 0.0f;
      }
    }
    get_winogradKernels().weights(taps, factors_, s_.points, count, out);
  }

 private:
  int64_t perChannel() const { return s_.inputs * s_.kernel; }

  const Shape& s_;
  const std::byte* weight_;
  core::DType dtype_;
  WinogradFactors factors_ = {};
};

// [group][row block][point][input channel, tap group][row]
const float* packWinograd(const core::ConvOp& op, const Shape& s, Pool& pool) {
  const PackKey key{'w', s.rows, s.groups, s.inputs, s.outputs, s.kernel, static_cast<int64_t>(op.weight.dtype)};
  const int64_t perOutput = s.points * s.terms();
  return packed(op.weight, key, s.groups * s.outputs * perOutput, [&](float* out) {
    const WeightTransform transform(op, s);
    const Scratch scratch(op.weight.storage->device(), pool.threads(), transform.scratchFloats());
    pool.parallelFor(s.groups * s.blocks, [&](int64_t index, int worker) {
      const int64_t first = index / s.blocks * s.outputs + index % s.blocks * s.rows;
      const int64_t last = std::min(first + s.rows, (index / s.blocks + 1) * s.outputs);
      for (int64_t channel = first; channel < last;) {
        const int rows = rowBlock(last - channel, s.rows);
        transform(channel, rows, scratch.of(worker), out + channel * perOutput);
        channel += rows;
      }
    });
  });
}

class WinogradRun {
 public:
  WinogradRun(const core::ConvOp& op, Pool& pool) : op_(op), pool_(pool), s_(op), operands_(op), weights_(packWinograd(op, s_, pool)) {
    for (int64_t i = 0; i < s_.inputs; ++i) {
      for (int64_t g = 0; g < s_.tapGroups; ++g) offsets_.push_back(static_cast<int32_t>(i * s_.planeStride + g * s_.dilation));
    }
    pointStride_ = s_.inputs * s_.planeStride + 16;
    lineFloats_ = winogradLine(s_.dilation, s_.shifted);
    streamFloats_ = winogradStreams(s_.dilation, s_.shifted);
    sumFloats_ = s_.points * s_.rows * s_.positions;
    const int64_t chunks = s_.batch * s_.groups * s_.chunks;
    const int64_t wanted = pool.threads() == 1 ? 1 : 4 * pool.threads();
    splits_ = std::clamp(divideUp(wanted, chunks), int64_t{1}, s_.blocks);
  }

  void operator()() const {
    const Scratch scratch(op_.y.storage->device(), pool_.threads(), s_.points * pointStride_ + lineFloats_ + streamFloats_ + sumFloats_);
    pool_.parallelFor(s_.batch * s_.groups * s_.chunks * splits_, [&](int64_t index, int worker) { task(index, scratch.of(worker)); });
  }

 private:
  void task(int64_t index, float* scratch) const {
    const int64_t split = index % splits_;
    index /= splits_;
    const int64_t first = index % s_.chunks * s_.used;
    const int64_t group = index / s_.chunks % s_.groups, image = index / s_.chunks / s_.groups;
    float* const line = scratch + s_.points * pointStride_;
    float* const streams = line + lineFloats_;
    float* const sums = streams + streamFloats_;
    const int64_t start = first * kTileOutputs;
    const int64_t count = std::min(s_.used * kTileOutputs, s_.length - start);
    // The last chunk may need fewer positions.
    const int64_t positions = std::min(s_.positions, roundUp(divideUp(count, kTileOutputs * s_.dilation) * s_.dilation, s_.lanes));
    const int64_t shifted = roundUp(positions + (s_.tapGroups - 1) * s_.dilation, s_.lanes);

    for (int64_t i = 0; i < s_.inputs; ++i) {
      GatherRow row = operands_.input(image, group * s_.inputs + i, 0);
      row.step = 1;
      row.start = start - op_.padBegin[1];
      row.count = winogradLine(s_.dilation, shifted);
      row.out = line;
      get_convKernels().gather(row);
      get_winogradKernels().input(line, s_.dilation, s_.points, shifted, streams, scratch + i * s_.planeStride, pointStride_);
    }
    for (int64_t block = s_.blocks * split / splits_; block < s_.blocks * (split + 1) / splits_; ++block) {
      const int64_t last = std::min((block + 1) * s_.rows, s_.outputs);
      for (int64_t row = block * s_.rows; row < last;) {
        const int rows = rowBlock(last - row, s_.rows);
        multiply(scratch, group * s_.outputs + row, rows, positions, sums);
        for (int r = 0; r < rows; ++r) {
          get_winogradKernels().output(sums + r * s_.positions, rows * s_.positions, s_.dilation, s_.points, positions, streams, line);
          get_convKernels().finish(operands_.output(image, group * s_.outputs + row + r, start, line, count));
        }
        row += rows;
      }
    }
  }

  // sums[point][row][u] for the output channels from `channel` on.
  void multiply(const float* transformed, int64_t channel, int rows, int64_t positions, float* sums) const {
    const float* w = weights_ + channel * s_.points * s_.terms();
    for (int j = 0; j < s_.points; ++j) {
      get_convKernels().multiply(transformed + j * pointStride_, offsets_.data(), s_.terms(), w, rows, sums, s_.positions, positions,
                                 false);
      w += s_.terms() * rows;
      sums += rows * s_.positions;
    }
  }

  const core::ConvOp& op_;
  Pool& pool_;
  const Shape s_;
  const ConvOperands operands_;
  const float* weights_;
  std::vector<int32_t> offsets_;  // of each (input channel, tap group) within a point
  int64_t pointStride_, lineFloats_, streamFloats_, sumFloats_, splits_;
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
