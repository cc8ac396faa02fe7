// s = g / n for every row of many weights in one dispatch. Each weight takes a run of threadgroups; a threadgroup finds its weight by
// bisection. The table is an argument: what the first rows would wait for is there at launch.
//   lanes 1 to 32   32 / lanes rows a simdgroup: no barrier, so a threadgroup waits for memory only
//   lanes 0         one long row a threadgroup
// Grid: the weights' threadgroups in turn, longest rows first. Traffic: one read of v, 4 bytes an element in float32 and 2 in the half
// types, the least possible.
#include "norm.h"

enum : uint { kMostSegments = 96 };  // what 4 KB of arguments hold, in norm_plan.h too

template <typename T>
struct ScaleSegment {  // ScaleSegment in norm_plan.h
  device const T* v;
  device const uchar* g;
  device float* scale;
  uint rows, columns;
  uint firstGroup;        // the weight's first threadgroup
  ushort lanes, chunked;  // chunked: rows are 16-byte aligned
};
template <typename T>
struct ScaleParams {  // ScaleParams in norm_plan.h
  NormRule rule;
  uint count, unused[3];
  ScaleSegment<T> segments[kMostSegments];
};

template <typename T, int W>
inline void scale_rows(constant ScaleSegment<T>& s, constant NormRule& rule, uint group, threadgroup float2* part, thread const Place& at) {
  const uint count = s.columns / W, lanes = s.lanes;
  if (lanes == 0) {
    LoopedRow<T, W, 8> values = {s.v + ulong(group) * s.columns, at.thread_index, at.threads, count};
    const RowScale scale = group_scale(values, finish_of(s.g, group, rule), part, at);
    if (at.thread_index == 0) s.scale[group] = scale.s;
    return;
  }
  const uint row = (group * at.simdgroups + at.simdgroup) * (32 / lanes) + at.lane / lanes, first = at.lane % lanes;
  const bool valid = row < s.rows;
  LoopedRow<T, W, 8> values = {s.v + (valid ? ulong(row) * s.columns : 0), first, lanes, valid ? count : 0};
  const NormFinish finish = finish_of(s.g, valid ? row : 0, rule);
  const Norm norm = norm_of(simd_squares(values, lanes, valid));
  if (valid && first == 0) s.scale[row] = finish.of(norm).s;
}

template <typename T>
[[kernel]] void scale_segments(constant ScaleParams<T>& p [[buffer(0)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  // The last weight that starts at or before this threadgroup. Every thread looks at the same one, as constant memory likes it.
  uint own = 0;
  for (uint end = p.count; end - own > 1;) {
    const uint middle = (own + end) / 2;
    if (p.segments[middle].firstGroup <= group) {
      own = middle;
    } else {
      end = middle;
    }
  }
  constant ScaleSegment<T>& s = p.segments[own];
  if (s.chunked != 0) {
    scale_rows<T, 16 / sizeof(T)>(s, p.rule, group - s.firstGroup, part, at);
  } else {
    scale_rows<T, 1>(s, p.rule, group - s.firstGroup, part, at);
  }
}
INSTANTIATE(scale_segments)
