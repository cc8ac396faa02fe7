#include "cpu/winograd_pack.h"

#include <algorithm>

#include "cpu/conv_kernels.h"
#include "cpu/operands.h"
#include "cpu/packed.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

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
  WeightTransform(const core::ConvOp& op, const WinogradPlan& plan) : s_(plan), weight_(bytesOf(op.weight)), dtype_(op.weight.dtype) {
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

  const WinogradPlan& s_;
  const std::byte* weight_;
  core::DType dtype_;
  WinogradFactors factors_ = {};
};

}  // namespace

const float* packWinograd(const core::ConvOp& op, const WinogradPlan& s, Pool& pool) {
  const PackKey key{'w', s.rows, s.groups, s.inputs, s.outputs, s.kernel, static_cast<int64_t>(op.weight.dtype)};
  const int64_t perOutput = s.points * s.terms();
  return packed(op.weight, key, s.groups * s.outputs * perOutput, [&](float* out) {
    const WeightTransform transform(op, s);
    const Scratch scratch(op.weight.storage->device(), pool.threads(), transform.scratchFloats());
    pool.parallelFor(s.groups * s.blocks, [&](int64_t index, int worker) {
      const int64_t first = index / s.blocks * s.outputs + index % s.blocks * s.rows;
      const int64_t last = std::min(first + s.rows, (index / s.blocks + 1) * s.outputs);
      for (int64_t channel = first; channel < last;) {
        const int rows = rowsAtOnce(last - channel, s.rows);
        transform(channel, rows, scratch.of(worker), out + channel * perOutput);
        channel += rows;
      }
    });
  });
}

}  // namespace weightnorm::cpu
