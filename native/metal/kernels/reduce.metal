// y = sum or mean of x over some axes, in compensated float32: a thread keeps a sum and what rounding took from it,
// pairs merge with an exact sum, so the result is right to about one rounding at any length.
// reduce_rows: the reduced axes are innermost; a simdgroup a row (short rows) or a threadgroup a chunk of a row;
//   grid x over chunks or rows of a threadgroup, y over rows.
// reduce_columns: the reduced axis is before the innermost; 32 columns x 8 lanes a threadgroup; grid x over columns,
//   y over chunks of the axis, z over what is before it.
// reduce_general: any other nest, a threadgroup a result; grid x over results.
// reduce_pairs: adds up the chunks' partial pairs, a simdgroup a result.
// Traffic: reads x once and writes y once, the least possible; chunks add 16 bytes each.
#include "strided.h"

constant bool kMean [[function_constant(0)]];
constant bool kPartial [[function_constant(1)]];  // write pairs for reduce_pairs
constant bool kSimdRow [[function_constant(2)]];
constant bool kWide [[function_constant(3)]];

// x: the sum so far; y: the rounding errors left out of it.
inline float2 add(float2 total, float value) {
  const float sum = total.x + value, back = sum - total.x;
  return float2(sum, total.y + ((total.x - (sum - back)) + (value - back)));
}
inline float2 merge(float2 a, float2 b) {
  const float2 sum = add(float2(a.x, 0.0f), b.x);
  return float2(sum.x, (a.y + b.y) + sum.y);
}
inline float2 simd_merge(float2 total) {
  for (ushort step = 16; step > 0; step >>= 1) {
    total = merge(total, float2(simd_shuffle_xor(total.x, step), simd_shuffle_xor(total.y, step)));
  }
  return total;
}

// The whole threadgroup's total, valid in its first simdgroup; `parts` holds a pair a simdgroup.
inline float2 group_merge(float2 total, threadgroup float2* parts, uint simd, uint lane, uint simds) {
  total = simd_merge(total);
  if (lane == 0) parts[simd] = total;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  total = simd_merge(lane < simds ? parts[lane] : float2(0.0f, 0.0f));
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return total;
}

struct ReduceParams {
  ulong kept, reduced;  // results and terms of one; reduce_columns: kept is the innermost axis alone
  ulong batch;          // what is before the reduced axis; 1 but for reduce_columns
  ulong chunk, chunks;  // terms a chunk, chunks a result
};

// Infinity stays infinity: its rounding errors are NaN.
inline float result_of(float2 total, ulong terms) {
  const float sum = isfinite(total.y) ? total.x + total.y : total.x;
  return kMean ? sum / float(terms) : sum;
}

template <typename T>
inline void write(float2 total, device T* y, device float2* partial, ulong result, ulong chunk, constant ReduceParams& p) {
  if (kPartial) {
    partial[result * p.chunks + chunk] = total;
  } else {
    y[result] = narrow<T>(result_of(total, p.reduced));
  }
}

// Threadgroups are whole simdgroups.
#define GROUP_POSITION                                                                                                                \
  uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]], uint simd [[simdgroup_index_in_threadgroup]], \
      uint lane [[thread_index_in_simdgroup]], uint simds [[simdgroups_per_threadgroup]]

template <typename T>
[[kernel]] void reduce_rows(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], device float2* partial [[buffer(2)]],
                            constant ReduceParams& p [[buffer(3)]], GROUP_POSITION) {
  threadgroup float2 parts[32];
  if (kSimdRow) {
    for (ulong row = ulong(group.x) * simds + simd; row < p.kept; row += ulong(groups.x) * simds) {
      float2 total = float2(0.0f, 0.0f);
      for (ulong i = lane; i < p.reduced; i += 32) total = add(total, widen(x[row * p.reduced + i]));
      total = simd_merge(total);
      if (lane == 0) write(total, y, partial, row, 0, p);
    }
    return;
  }
  const ulong begin = ulong(group.x) * p.chunk, end = min(begin + p.chunk, p.reduced);
  for (ulong row = group.y; row < p.kept; row += groups.y) {
    float2 total = float2(0.0f, 0.0f);
    for (ulong i = begin + simd * 32 + lane; i < end; i += simds * 32) total = add(total, widen(x[row * p.reduced + i]));
    total = group_merge(total, parts, simd, lane, simds);
    if (simd == 0 && lane == 0) write(total, y, partial, row, group.x, p);
  }
}
INSTANTIATE(reduce_rows)

template <typename T>
[[kernel]] void reduce_columns(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], device float2* partial [[buffer(2)]],
                               constant ReduceParams& p [[buffer(3)]], GROUP_POSITION) {
  threadgroup float2 parts[32][32];
  const ulong column = ulong(group.x) * 32 + lane;
  const ulong begin = ulong(group.y) * p.chunk, end = min(begin + p.chunk, p.reduced);
  for (ulong batch = group.z; batch < p.batch; batch += groups.z) {
    float2 total = float2(0.0f, 0.0f);
    if (column < p.kept) {
      for (ulong i = begin + simd; i < end; i += simds) total = add(total, widen(x[(batch * p.reduced + i) * p.kept + column]));
    }
    parts[simd][lane] = total;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simd == 0 && column < p.kept) {
      for (uint i = 1; i < simds; i++) total = merge(total, parts[i][lane]);
      write(total, y, partial, batch * p.kept + column, group.y, p);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}
INSTANTIATE(reduce_columns)

struct ReduceNest {
  Axes kept, reduced;
};

template <typename T>
[[kernel]] void reduce_general(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], device float2* partial [[buffer(2)]],
                               constant ReduceParams& p [[buffer(3)]], constant ReduceNest& nest [[buffer(4)]], GROUP_POSITION) {
  threadgroup float2 parts[32];
  const ulong begin = ulong(group.x) * p.chunk, end = min(begin + p.chunk, p.reduced);
  for (ulong result = group.y; result < p.kept; result += groups.y) {
    device const T* from = x + offsets(kWide, result, nest.kept).x;
    float2 total = float2(0.0f, 0.0f);
    for (ulong i = begin + simd * 32 + lane; i < end; i += simds * 32) {
      total = add(total, widen(from[offsets(kWide, i, nest.reduced).x]));
    }
    total = group_merge(total, parts, simd, lane, simds);
    if (simd == 0 && lane == 0) write(total, y, partial, result, group.x, p);
  }
}
INSTANTIATE(reduce_general)

template <typename T>
[[kernel]] void reduce_pairs(device const float2* partial [[buffer(0)]], device T* y [[buffer(1)]], constant ReduceParams& p [[buffer(2)]],
                             GROUP_POSITION) {
  const ulong results = p.batch * p.kept;
  for (ulong result = ulong(group.x) * simds + simd; result < results; result += ulong(groups.x) * simds) {
    float2 total = float2(0.0f, 0.0f);
    for (ulong i = lane; i < p.chunks; i += 32) total = merge(total, partial[result * p.chunks + i]);
    total = simd_merge(total);
    if (lane == 0) y[result] = narrow<T>(result_of(total, p.reduced));
  }
}
INSTANTIATE(reduce_pairs)
