// s = g / n for every row of many weights in one dispatch. Each weight takes a run of threadgroups. The table is an argument, and all
// that a threadgroup reads of it is where the blocks begin and one block of 256 bytes: what the first rows wait for is in few cache lines.
//   laneBits 3 to 5   8 to 32 lanes a row: no barrier, so a threadgroup waits for memory only
//   laneBits 0        one long row a threadgroup
// Grid: the weights' threadgroups in turn, longest rows first. Traffic: one read of v, 4 bytes an element in float32 and 2 in the half
// types, the least possible.
#include "norm_rows.h"

// What 4 KB of arguments hold, in norm_plan.h too.
enum : uint { kScaleBlocks = 14, kBlockSegments = 7 };

template <typename T>
struct ScaleSegment {  // ScaleSegment in norm_plan.h
  device const T* v;
  device const uchar* g;
  device float* scale;
  uint rows;
  ushort chunks;
  uchar laneBits, width;
};
template <typename T>
struct ScaleBlock {  // ScaleBlock in norm_plan.h
  uint firstGroup[kBlockSegments];
  ScaleSegment<T> segments[kBlockSegments];
};
template <typename T>
struct ScaleParams {  // ScaleParams in norm_plan.h
  NormRule rule;
  uint firstGroup[kScaleBlocks];
  ScaleBlock<T> blocks[kScaleBlocks];
};

template <typename T, int W>
inline void scale_rows(constant ScaleSegment<T>& s, constant NormRule& rule, uint group, threadgroup float2* part, thread const Place& at) {
  const uint count = s.chunks, columns = count * W;
  if (s.laneBits == 0) {
    LoopedRow<T, W, 8, true> values = {s.v + ulong(group) * columns, at.thread_index, at.threads, count};
    const RowScale scale = group_scale(values, finish_of(s.g, group, rule), part, at);
    if (at.thread_index == 0) s.scale[group] = scale.s;
    return;
  }
  const uint row = ((group * at.simdgroups + at.simdgroup) << (5 - s.laneBits)) + (at.lane >> s.laneBits);
  const uint lanes = 1u << s.laneBits, first = at.lane & (lanes - 1);
  const bool valid = row < s.rows;
  LoopedRow<T, W, 8, true> values = {s.v + (valid ? ulong(row) * columns : 0), first, lanes, valid ? count : 0};
  const NormFinish finish = finish_of(s.g, valid ? row : 0, rule);
  const Norm norm = norm_of(simd_squares(values, lanes, valid));
  if (valid && first == 0) s.scale[row] = finish.of(norm).s;
}

template <typename T>
[[kernel]] void scale_segments(constant ScaleParams<T>& p [[buffer(0)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  // The last weight that begins at or before this threadgroup, counted in blocks first: no look waits for the one before it.
  uint block = 0, own = 0;
#pragma unroll
  for (uint i = 1; i < kScaleBlocks; i++) block += p.firstGroup[i] <= group ? 1 : 0;
  constant ScaleBlock<T>& b = p.blocks[block];
#pragma unroll
  for (uint i = 1; i < kBlockSegments; i++) own += b.firstGroup[i] <= group ? 1 : 0;
  const uint row_group = group - b.firstGroup[own];
  constant ScaleSegment<T>& s = b.segments[own];
  if (s.width > 1) {
    scale_rows<T, 16 / sizeof(T)>(s, p.rule, row_group, part, at);
  } else {
    scale_rows<T, 1>(s, p.rule, row_group, part, at);
  }
}
INSTANTIATE(scale_segments)
