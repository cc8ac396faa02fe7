#include "cpu/row_scales.h"

#include <algorithm>

#include "cpu/cpu_device.h"
#include "cpu/nest_plan.h"
#include "cpu/norm_kernels.h"
#include "cpu/norm_scale.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kRowsAtOnce = 16;
constexpr int64_t kPadding = 32;  // kernels read whole vectors of sums
constexpr int64_t kTaskElements = int64_t{1} << 14;

// Rows that are summed whole; parts of longer ones would be joined in another order.
bool normalisesRows(const core::ScaleOp::Segment& segment) {
  const core::Nest nest(segment.v.shape, segment.reduce);
  return nest.count == 2 && !nest.axes[0].reduced && nest.axes[1].reduced && nest.kept == segment.v.shape[0] &&
         NestPlan(segment.v.shape, segment.reduce).reducedBlocks() == 1;
}

}  // namespace

RowScales::RowScales(const core::ScaleOp::Segment& segment, Pool& pool)
    : v_(segment.v),
      g_(segment.g),
      eps_(segment.eps),
      length_(segment.v.size() / segment.v.shape[0]),
      pool_(pool),
      weight_(dataOf<void>(v_)),
      gains_(dataOf<void>(g_)),
      scales_(reinterpret_cast<float*>(static_cast<CpuBuffer&>(segment.scale.storage->memory()).data())) {}

bool RowScales::defer(const core::ScaleOp::Segment& segment, Pool& pool) {
  if (!normalisesRows(segment) || segment.v.storage->hasDerived()) return false;
  segment.scale.storage->defer(std::unique_ptr<RowScales>(new RowScales(segment, pool)));
  return true;
}

RowScales* RowScales::of(const core::Tensor& scale, const core::Tensor& weight) {
  if (!scale) return nullptr;
  auto* const found = dynamic_cast<RowScales*>(scale.storage->deferred());
  return found && found->v_.storage == weight.storage && found->v_.shape == weight.shape ? found : nullptr;
}

void RowScales::rows(int64_t first, int64_t last) const {
  const auto dtype = static_cast<size_t>(v_.dtype);
  const NormKernels& kernels = get_normKernels();
  const auto sum = kernels.sum[static_cast<size_t>(Term::kSquare)][static_cast<size_t>(Leaf::kRows)][dtype];
  const auto scales = kernels.scales[static_cast<size_t>(g_.dtype)];
  double squares[kRowsAtOnce + kPadding];
  for (int64_t row = first; row < last; row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, last - row);
    std::fill_n(squares, kRowsAtOnce, 0.0);
    sum(weight_, nullptr, Block{row * length_, count, length_, length_}, squares, nullptr);
    scales(squares, gains_, row, count, epsOf(eps_), scales_ + row);
  }
}

void RowScales::run() {
  parallelRanges(pool_, v_.shape[0], std::max(kTaskElements / length_, int64_t{1}),
                 [&](int64_t first, int64_t last) { rows(first, last); });
}

}  // namespace weightnorm::cpu
