// s = g / n for every row of many weights in one dispatch. The host cuts the weights into tiles; a tile is one threadgroup's share:
// 32 / lanes rows a simdgroup (short rows), or one row (lanes 0).
// Grid: one threadgroup a tile. Traffic: one read of v, 4 bytes an element in float32 and 2 in the half types (the least possible),
// plus 64 bytes a tile.
#include "norm.h"

template <typename T>
struct ScaleTile {        // ScaleTile in scale.mm
  device const T* v;      // the tile's first row
  device const uchar* g;  // the weight's first gain
  device float* scale;    // of the tile's first row
  uint rows, columns;     // rows of this tile
  uint lanes, chunked;    // chunked: rows are 16-byte aligned
  uint firstRow, unused;  // the tile's first row within the weight
  NormRule rule;
};

template <typename T, int W>
inline void scale_tile(constant ScaleTile<T>& tile, threadgroup float2* part, thread const Place& at) {
  const uint count = tile.columns / W;
  if (tile.lanes == 0) {
    const NormFinish finish = finish_of(tile.g, tile.firstRow, tile.rule);
    RowScale scale;
    if (count <= 4 * at.threads) {
      CachedRow<T, W, 4> values;
      values.load(tile.v, at.thread_index, at.threads, count);
      scale = group_scale(values, finish, part, at);
    } else {
      const LoopedRow<T, W> values = {tile.v, at.thread_index, at.threads, count};
      scale = group_scale(values, finish, part, at);
    }
    if (at.thread_index == 0) tile.scale[0] = scale.s;
    return;
  }
  const uint row = at.simdgroup * (32 / tile.lanes) + at.lane / tile.lanes, first = at.lane % tile.lanes;
  const bool valid = row < tile.rows;
  CachedRow<T, W, 4> values;
  values.load(tile.v + (valid ? ulong(row) * tile.columns : 0), first, tile.lanes, valid ? count : 0);
  const NormFinish finish = finish_of(tile.g, tile.firstRow + (valid ? row : 0), tile.rule);
  const Norm norm = norm_of(simd_squares(values, tile.lanes, valid));
  if (valid && first == 0) tile.scale[row] = finish.of(norm).s;
}

template <typename T>
[[kernel]] void scale_tiles(constant ScaleTile<T>* tiles [[buffer(0)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  if (tiles[group].chunked != 0) {
    scale_tile<T, 16 / sizeof(T)>(tiles[group], part, at);
  } else {
    scale_tile<T, 1>(tiles[group], part, at);
  }
}
INSTANTIATE(scale_tiles)
