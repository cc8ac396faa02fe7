// w = v (g / n), n = the norm of each row of v [rows, columns], or only n or g / n. v is read in chunks of 16 bytes (W elements), or
// element by element where rows are not 16-byte aligned (W = 1).
//
//   kernel            row length in chunks   threadgroup            one row belongs to
//   wn_simd_k1/2/4    up to 32 K             up to 1024 threads     `lanes` neighbouring lanes, 32 / lanes rows a simdgroup
//   wn_group_k4       up to 4 * threads      threads for the row    a threadgroup
//   wn_loop           any                    threads                a threadgroup, v read twice
//
// Grid: rows / (rows a threadgroup) threadgroups. Traffic: one read of v and one write of w, 8 bytes an element in float32 and 4 in the
// half types, which is the least possible; wn_loop reads v once more (from the cache as far as it reaches). Norms alone: 4 and 2 bytes.
#include "norm_rows.h"

struct RowsParams {  // RowsParams in norm_plan.h
  ulong rows;
  uint columns, lanes;
  NormRule rule;
};

#define ROW_ARGUMENTS(T)                                                                                                                  \
  device const T *v [[buffer(0)]], device const uchar *g [[buffer(1)]], device T *w [[buffer(2)]], device float *statistic [[buffer(3)]], \
      constant RowsParams &p [[buffer(4)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS

template <typename T, int W, int K>
[[kernel]] void wn_simd(ROW_ARGUMENTS(T)) {
  const uint perSimdgroup = 32 / p.lanes;
  const ulong row = (ulong(group) * simdgroups + simdgroup) * perSimdgroup + lane / p.lanes;
  const uint first = lane % p.lanes;
  const bool valid = row < p.rows;
  const uint count = valid ? p.columns / W : 0;
  const ulong offset = valid ? row * p.columns : 0;
  CachedRow<T, W, K> values;
  values.load(v + offset, first, p.lanes, count);
  const NormFinish finish = finish_of(g, valid ? row : 0, p.rule);
  const Norm norm = norm_of(simd_squares(values, p.lanes, valid));
  if (!valid) return;
  const RowScale scale = finish.of(norm);
  if (p.rule.output == kOutputWeight) {
    values.store(w + offset, scale, hidden_zero(p.rule));
  } else if (first == 0) {
    statistic[row] = scale.s;
  }
}

template <typename T, int W, int K>
[[kernel]] void wn_group(ROW_ARGUMENTS(T)) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const ulong offset = ulong(group) * p.columns;
  CachedRow<T, W, K> values;
  values.load(v + offset, thread_index, threads, p.columns / W);
  const RowScale scale = group_scale(values, finish_of(g, group, p.rule), part, at);
  if (p.rule.output == kOutputWeight) {
    values.store(w + offset, scale, hidden_zero(p.rule));
  } else if (thread_index == 0) {
    statistic[group] = scale.s;
  }
}

template <typename T, int W>
[[kernel]] void wn_loop(ROW_ARGUMENTS(T)) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const ulong offset = ulong(group) * p.columns;
  LoopedRow<T, W, 4> values = {v + offset, thread_index, threads, p.columns / W};
  const RowScale scale = group_scale(values, finish_of(g, group, p.rule), part, at);
  if (p.rule.output == kOutputWeight) {
    typename Chunk<T, W>::raw c[4];
    values.load(values.last(), c);
    values.store(w + offset, scale, c);
  } else if (thread_index == 0) {
    statistic[group] = scale.s;
  }
}

#define ROWS(name, T, W)                                                                                \
  template [[host_name("wn_simd_k1_" name)]] [[kernel]] decltype(wn_simd<T, W, 1>) wn_simd<T, W, 1>;    \
  template [[host_name("wn_simd_k2_" name)]] [[kernel]] decltype(wn_simd<T, W, 2>) wn_simd<T, W, 2>;    \
  template [[host_name("wn_simd_k4_" name)]] [[kernel]] decltype(wn_simd<T, W, 4>) wn_simd<T, W, 4>;    \
  template [[host_name("wn_group_k4_" name)]] [[kernel]] decltype(wn_group<T, W, 4>) wn_group<T, W, 4>; \
  template [[host_name("wn_loop_" name)]] [[kernel]] decltype(wn_loop<T, W>) wn_loop<T, W>;
ROWS("float32", float, 4)
ROWS("float16", half, 8)
ROWS("bfloat16", bf16, 8)
ROWS("scalar_float32", float, 1)
ROWS("scalar_float16", half, 1)
ROWS("scalar_bfloat16", bf16, 1)
