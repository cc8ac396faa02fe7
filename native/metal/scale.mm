#include <algorithm>
#include <array>
#include <vector>

#include "metal/metal_ops.h"
#include "metal/norm_plan.h"

namespace weightnorm::metal {

namespace {

using Segment = core::ScaleOp::Segment;

constexpr uint32_t kTileThreads = 128;
constexpr int64_t kLongestTileRow = 65536;  // elements; longer rows are worth several threadgroups

struct ScaleTile {  // kernels/scale.metal
  uint64_t v, g, scale;
  uint32_t rows, columns, lanes, chunked, firstRow, unused;
  NormRule rule;
};

// A weight whose norms the tile kernel takes.
bool tiled(const core::Nest& nest) {
  return nest.form == core::Nest::Form::kRows && nest.reduced <= kLongestTileRow && nest.kept < INT32_MAX;
}

void appendTiles(Encoder& encoder, const Segment& segment, const core::Nest& nest, uint32_t threads, std::vector<ScaleTile>& tiles) {
  const Chunking chunks = chunking(segment.v.dtype, nest.reduced);
  const auto share = simdShare(nest.reduced / chunks.width);
  const int64_t perTile = share ? threads / share->lanes : 1;
  const uint64_t rowBytes = static_cast<uint64_t>(nest.reduced) * core::sizeOf(segment.v.dtype);
  const NormRule rule = normRule(segment.g.dtype, segment.eps, NormRule::kScale);
  for (int64_t row = 0; row < nest.kept; row += perTile) {
    const auto first = static_cast<uint64_t>(row);
    tiles.push_back({encoder.address(segment.v) + first * rowBytes, encoder.address(segment.g),
                     encoder.address(segment.scale) + first * sizeof(float), static_cast<uint32_t>(std::min(perTile, nest.kept - row)),
                     static_cast<uint32_t>(nest.reduced), share ? share->lanes : 0, chunks.width > 1, static_cast<uint32_t>(row), 0, rule});
  }
}

}  // namespace

void encode(Encoder& encoder, const core::ScaleOp& op) {
  for (const core::DType dtype : {core::DType::kFloat32, core::DType::kFloat16, core::DType::kBFloat16}) {
    std::vector<const Segment*> segments;
    for (const Segment& segment : op.segments) {
      if (segment.v.dtype == dtype && tiled(core::Nest(segment.v.shape, segment.reduce))) segments.push_back(&segment);
    }
    if (segments.empty()) continue;
    const Pipeline& pipeline = encoder.pipeline("scale", kernelName("scale_tiles", dtype));
    const uint32_t threads = wholeSimdgroups(kTileThreads, pipeline.maxThreads);
    Dispatch dispatch(encoder, pipeline);
    std::vector<ScaleTile> tiles;
    for (const Segment* segment : segments) {
      dispatch.uses(segment->v, Access::kRead).uses(segment->g, Access::kRead).uses(segment->scale, Access::kWrite);
      appendTiles(encoder, *segment, core::Nest(segment->v.shape, segment->reduce), threads, tiles);
    }
    const Memory table = encoder.memory(tiles.data(), tiles.size() * sizeof(ScaleTile));
    dispatch.bind(0, *table, Access::kRead).groups(MTLSizeMake(tiles.size(), 1, 1), MTLSizeMake(threads, 1, 1));
  }
  for (const Segment& segment : op.segments) {
    if (tiled(core::Nest(segment.v.shape, segment.reduce))) continue;
    encodeNorm(encoder, segment.v, segment.g, segment.scale, segment.reduce, segment.eps, NormRule::kScale);
  }
}

}  // namespace weightnorm::metal
