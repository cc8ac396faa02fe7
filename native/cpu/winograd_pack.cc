#include "cpu/winograd_pack.h"

#include <algorithm>

#include "cpu/conv_kernels.h"
#include "cpu/operands.h"
#include "cpu/packed.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kMixedFloats = 4 * 1024;  // of a piece of weights, to stay in the first-level cache
constexpr int kMostRows = 8;

// Toom-Cook's interpolation; see WinogradKernels::weights.
void winogradFactors(int points, WinogradFactors& factors) {
  for (int j = 0; j < points - 1; ++j) {
    double product = 1;
    for (int i = 0; i < points - 1; ++i) {
      if (i != j) product *= kWinogradPoints[j] - kWinogradPoints[i];
    }
    factors[j] = 1 / product;
  }
}

// Transforms `rows` output channels' weights to [point][input channel, tap group][row], some input channels at a time.
class WeightTransform {
 public:
  WeightTransform(const core::ConvOp& op, const WinogradPlan& plan)
      : s_(plan),
        weight_(bytesOf(op.weight)),
        dtype_(op.weight.dtype),
        lines_(plan.inputs * plan.kernelRows),
        inputs_(std::clamp(kMixedFloats / (plan.kernel * plan.rows), int64_t{1}, lines_)) {
    winogradFactors(s_.points, factors_);
  }

  int64_t scratchFloats() const { return 2 * s_.rows * inputs_ * s_.kernel; }

  void operator()(int64_t channel, int rows, float* scratch, float* out) const {
    for (int64_t i = 0; i < lines_; i += inputs_) {
      const int64_t inputs = std::min(inputs_, lines_ - i), count = inputs * s_.kernel;
      float* const mixed = scratch + s_.rows * count;
      const float* from[kMostRows];
      for (int r = 0; r < rows; ++r) from[r] = line((channel + r) * lines_ * s_.kernel + i * s_.kernel, count, scratch + r * count);
      get_convKernels().interleave(from, rows, count, mixed);
      get_winogradKernels().weights(mixed, inputs, s_.kernel, rows, factors_, s_.points, s_.terms() * rows, out + i * s_.tapGroups * rows);
    }
  }

 private:
  // `count` weights from `first` on as float32, converted to `converted` where they are not.
  const float* line(int64_t first, int64_t count, float* converted) const {
    const std::byte* from = weight_ + static_cast<uint64_t>(first) * sizeOf(dtype_);
    if (dtype_ == core::DType::kFloat32) return reinterpret_cast<const float*>(from);
    get_vecTable().convert(from, dtype_, converted, core::DType::kFloat32, count);
    return converted;
  }

  const WinogradPlan& s_;
  const std::byte* weight_;
  core::DType dtype_;
  const int64_t lines_;   // taps of an input channel and kernel row, which are alike here
  const int64_t inputs_;  // of these, at a time
  WinogradFactors factors_ = {};
};

}  // namespace

const float* packWinograd(const core::ConvOp& op, const WinogradPlan& s, Pool& pool) {
  const PackKey key{'w', s.rows, s.groups, s.inputs * s.kernelRows, s.outputs, s.kernel, static_cast<int64_t>(op.weight.dtype)};
  const int64_t perOutput = s.points * s.terms();
  return packed(op.weight, op.scale, key, s.groups * s.outputs * perOutput, [&](float* out, const auto& rowsRead) {
    const WeightTransform transform(op, s);
    const Scratch scratch(op.weight.storage->device(), pool.threads(), transform.scratchFloats());
    pool.parallelFor(s.groups * s.blocks, [&](int64_t index, int worker) {
      const int64_t first = index / s.blocks * s.outputs + index % s.blocks * s.rows;
      const int64_t last = std::min(first + s.rows, (index / s.blocks + 1) * s.outputs);
      rowsRead(first, last);
      for (int64_t channel = first; channel < last;) {
        const int rows = rowsAtOnce(last - channel, s.rows);
        transform(channel, rows, scratch.of(worker), out + channel * perOutput);
        channel += rows;
      }
    });
  });
}

}  // namespace weightnorm::cpu
