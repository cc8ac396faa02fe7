#include <algorithm>

#include "metal/metal_ops.h"
#include "metal/overrides.h"
#include "metal/strided.h"

namespace weightnorm::metal {

namespace {

constexpr uint64_t kTile = 32;
constexpr uint64_t kMaxBatchGroups = 65535;

struct TransposeRows {
  Axes axes;
  uint64_t rows, columns;
};

struct TransposeTiled {
  Axes axes;
  uint64_t batch;
  uint64_t down, across;
  uint64_t downStride, acrossStride;
};

// y's axes with strides in x (first) and y (second), without size 1, neighbours merged where x runs on through them.
Axes mergedAxes(const core::TransposeOp& op) {
  const auto xStrides = op.x.shape.strides(), yStrides = op.y.shape.strides();
  Axes axes;
  for (int i = 0; i < op.y.shape.rank(); ++i) {
    const auto size = static_cast<uint64_t>(op.y.shape[i]);
    if (size == 1) continue;
    const auto from = static_cast<size_t>(op.permutation[static_cast<size_t>(i)]);
    const auto x = static_cast<uint64_t>(xStrides[from]), y = static_cast<uint64_t>(yStrides[static_cast<size_t>(i)]);
    const uint32_t last = axes.rank - 1;
    if (axes.rank && axes.first[last] == x * size) {
      axes.size[last] *= size;
      axes.first[last] = x;
      axes.second[last] = y;
    } else {
      axes.add(size, x, y);
    }
  }
  if (axes.rank == 0) axes.add(1, 1, 1);
  return axes;
}

}  // namespace

void encode(Encoder& encoder, const core::TransposeOp& op) {
  const Axes axes = mergedAxes(op);
  const std::string suffix = "_" + std::to_string(core::sizeOf(op.x.dtype));
  const Constants constants = Constants().set(0, wide({op.x.size()}));
  const uint32_t last = axes.rank - 1;
  if (axes.first[last] == 1) {
    TransposeRows params{axes, 0, axes.size[last]};
    params.axes.rank = last;
    params.rows = params.axes.count();
    const Pipeline& pipeline = encoder.pipeline("transpose", "transpose_rows" + suffix, constants);
    const Launch launch = rows(pipeline, params.rows, params.columns);
    Dispatch(encoder, pipeline).input(0, op.x).output(1, op.y).value(2, params).threads(launch.grid, launch.group);
    return;
  }
  TransposeTiled params{};
  for (uint32_t i = 0; i < last; ++i) {
    if (axes.first[i] == 1) {
      params.down = axes.size[i];
      params.downStride = axes.second[i];
    } else {
      params.axes.add(axes.size[i], axes.first[i], axes.second[i]);
    }
  }
  params.across = axes.size[last];
  params.acrossStride = axes.first[last];
  params.batch = params.axes.count();
  const Pipeline& pipeline = encoder.pipeline("transpose", "transpose_tiled" + suffix, constants);
  const MTLSize groups = MTLSizeMake((params.down + kTile - 1) / kTile, (params.across + kTile - 1) / kTile,
                                     std::min({params.batch, kMaxBatchGroups, overrides().maxGridThreads}));
  Dispatch(encoder, pipeline)
      .input(0, op.x)
      .output(1, op.y)
      .value(2, params)
      .groups(groups, MTLSizeMake(kTile, std::min<uint64_t>(8, pipeline.maxThreads / kTile), 1));
}

}  // namespace weightnorm::metal
