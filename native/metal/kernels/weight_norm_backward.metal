// gradV and gradG of w = v (g / n) over rows, in one pass: variants and grid as in weight_norm.metal.
// Traffic: gradW and v read, gradV written, 12 bytes an element in float32 and 6 in the half types, the least possible;
// wnb_loop reads both inputs once more.
#include "norm_backward.h"

struct RowsParams {  // RowsParams in norm_plan.h
  ulong rows;
  uint columns, lanes;
  NormRule rule;
};

#define BACKWARD_ARGUMENTS(T)                                                                                 \
  device const T *gradW [[buffer(0)]], device const T *v [[buffer(1)]], device const uchar *g [[buffer(2)]],  \
      device T *gradV [[buffer(3)]], device uchar *gradG [[buffer(4)]], constant RowsParams &p [[buffer(5)]], \
      uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS

template <typename T, int W, int K>
[[kernel]] void wnb_simd(BACKWARD_ARGUMENTS(T)) {
  const ulong row = (ulong(group) * simdgroups + simdgroup) * (32 / p.lanes) + lane / p.lanes;
  const uint first = lane % p.lanes;
  const bool valid = row < p.rows;
  const uint count = valid ? p.columns / W : 0;
  const ulong offset = valid ? row * p.columns : 0;
  CachedPair<T, W, K> values;
  values.gradW.load(gradW + offset, first, p.lanes, count);
  values.v.load(v + offset, first, p.lanes, count);
  const RangedDots dots = simd_dots(values, p.lanes, valid);
  if (!valid) return;
  const Gradient gradient = gradient_of(dots, load_any(g, p.rule.gType, row), p.rule);
  if (first == 0) store_gain(gradG, p.rule.gType, row, gradient.gradG);
  values.store(gradV + offset, gradient, hidden_zero(p.rule));
}

template <typename T, int W, int K>
[[kernel, max_total_threads_per_threadgroup(768)]] void wnb_group(BACKWARD_ARGUMENTS(T)) {
  threadgroup float2 part[96];
  threadgroup float4 shared[2];
  const Place at = PLACE;
  const ulong offset = ulong(group) * p.columns;
  CachedPair<T, W, K> values;
  values.gradW.load(gradW + offset, thread_index, threads, p.columns / W);
  values.v.load(v + offset, thread_index, threads, p.columns / W);
  const Gradient gradient = group_gradient(values, g, gradG, group, p.rule, part, shared, at);
  values.store(gradV + offset, gradient, hidden_zero(p.rule));
}

template <typename T, int W>
[[kernel]] void wnb_loop(BACKWARD_ARGUMENTS(T)) {
  threadgroup float2 part[96];
  threadgroup float4 shared[2];
  const Place at = PLACE;
  const ulong offset = ulong(group) * p.columns;
  LoopedPair<T, W, 4> values = {{gradW + offset, thread_index, threads, p.columns / W}, {v + offset, thread_index, threads, p.columns / W}};
  const Gradient gradient = group_gradient(values, g, gradG, group, p.rule, part, shared, at);
  typename Chunk<T, W>::raw d[4], x[4];
  values.v.load(values.v.last(), x);
  values.gradW.load(values.v.last(), d);
  values.store(gradV + offset, gradient, d, x);
}

#define ROWS(name, T, W)                                                                                   \
  template [[host_name("wnb_simd_k1_" name)]] [[kernel]] decltype(wnb_simd<T, W, 1>) wnb_simd<T, W, 1>;    \
  template [[host_name("wnb_simd_k2_" name)]] [[kernel]] decltype(wnb_simd<T, W, 2>) wnb_simd<T, W, 2>;    \
  template [[host_name("wnb_simd_k4_" name)]] [[kernel]] decltype(wnb_simd<T, W, 4>) wnb_simd<T, W, 4>;    \
  template [[host_name("wnb_group_k4_" name)]] [[kernel]] decltype(wnb_group<T, W, 4>) wnb_group<T, W, 4>; \
  template [[host_name("wnb_loop_" name)]] [[kernel]] decltype(wnb_loop<T, W>) wnb_loop<T, W>;
ROWS("float32", float, 4)
ROWS("float16", half, 8)
ROWS("bfloat16", bf16, 8)
ROWS("scalar_float32", float, 1)
ROWS("scalar_float16", half, 1)
ROWS("scalar_bfloat16", bf16, 1)
