// Weight norm over an outer axis (columns, and the nest kept / reduced / kept / run): see norm_columns.h for the layout.
//   wn_columns_k8  up to 8 rows a thread, kept in registers: v is read once
//   wn_columns     any number of rows: v is read twice, the second time from the last row to the first
// Grid: batches * strips threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: 8 bytes an element in float32 and 4 in the half types when kept in registers (the least possible), 12 and 6 otherwise;
// norms alone 4 and 2.
#include "norm_columns.h"

template <typename T, int W>
inline void add_squares(typename Chunk<T, W>::raw c, thread const float* factor, thread float2* sum) {
  float x[W];
  Chunk<T, W>::open(c, x);
#pragma unroll
  for (int i = 0; i < W; i++) {
    x[i] *= factor[i];
    const float square = x[i] * x[i];
    const float rest = exact_products<T>() ? 0.0f : fma(x[i], x[i], -square);
    const float2 s = two_sum(sum[i].x, square);
    sum[i] = float2(s.x, sum[i].y + s.y + rest);
  }
}

// The rows of one thread: the first K of them in registers, every one of them in memory.
template <typename T, int W, int K>
struct ColumnRows {
  typedef typename Chunk<T, W>::raw raw;
  raw kept[K > 0 ? K : 1];
  device const T* v;
  uint rows, columns, first, step;
  bool active;

  raw at(uint row) const { return *(device const raw*)(v + ulong(row) * columns); }
  void load() {
#pragma unroll
    for (int k = 0; k < K; k++) {
      const uint row = first + k * step;
      kept[k] = raw(0);
      if (active && row < rows) kept[k] = at(row);
    }
  }
  void squares(thread const float* factor, thread float2* sum) const {
#pragma unroll
    for (int i = 0; i < W; i++) sum[i] = float2(0.0f);
    if (K > 0) {
#pragma unroll
      for (int k = 0; k < K; k++) add_squares<T, W>(kept[k], factor, sum);
    } else if (active) {
      uint row = first;
      for (; row + 3 * step < rows; row += 4 * step) {
        raw c[4];
#pragma unroll
        for (int k = 0; k < 4; k++) c[k] = at(row + k * step);
#pragma unroll
        for (int k = 0; k < 4; k++) add_squares<T, W>(c[k], factor, sum);
      }
      for (; row < rows; row += step) add_squares<T, W>(at(row), factor, sum);
    }
  }
  void peak(thread float2* bits) const {
#pragma unroll
    for (int i = 0; i < W; i++) bits[i] = float2(0.0f);
    if (!active) return;
    for (uint row = first; row < rows; row += step) {
      float x[W];
      Chunk<T, W>::open(at(row), x);
#pragma unroll
      for (int i = 0; i < W; i++) bits[i] = MaxBits::fold(bits[i], float2(fabs(x[i]), 0.0f));
    }
  }
  static raw scaled(raw c, thread const RowScale* scale, bool plain) {
    float x[W];
    Chunk<T, W>::open(c, x);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = plain ? x[i] * scale[i].s : scale[i].apply(x[i]);
    return Chunk<T, W>::close(x);
  }
  void store(device T* w, thread const RowScale* scale) const {
    bool plain = true;
#pragma unroll
    for (int i = 0; i < W; i++) plain = plain && scale[i].plain;
    if (K > 0) {
#pragma unroll
      for (int k = 0; k < K; k++) {
        const uint row = first + k * step;
        if (row < rows) *(device raw*)(w + ulong(row) * columns) = scaled(kept[k], scale, plain);
      }
      return;
    }
    if (first >= rows) return;
    // Backwards, so that it meets what the sums left in the caches.
    uint row = first + (rows - 1 - first) / step * step + step;
    for (; row >= first + 4 * step; row -= 4 * step) {
      raw c[4];
#pragma unroll
      for (int k = 0; k < 4; k++) c[k] = at(row - (k + 1) * step);
#pragma unroll
      for (int k = 0; k < 4; k++) *(device raw*)(w + ulong(row - (k + 1) * step) * columns) = scaled(c[k], scale, plain);
    }
    for (; row > first; row -= step) *(device raw*)(w + ulong(row - step) * columns) = scaled(at(row - step), scale, plain);
  }
};

template <typename T, int W, int K>
[[kernel]] void wn_columns(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]], device T* w [[buffer(2)]],
                           device float* statistic [[buffer(3)]], constant ColumnsParams& p [[buffer(4)]],
                           threadgroup float2* board [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  threadgroup float4 shared[kStripNorms];
  const Place at = PLACE;
  const Column c = column_of(p, group, thread_index, W);
  ColumnRows<T, W, K> values;
  values.v = v + c.base + c.x;
  values.rows = p.rows;
  values.columns = p.columns;
  values.first = c.y;
  values.step = p.depth;
  values.active = c.active;
  values.load();

  float factor[W];
  float2 sum[W];
#pragma unroll
  for (int i = 0; i < W; i++) factor[i] = 1.0f;
  values.squares(factor, sum);
  fold_columns<AddSums, W>(sum, c, p, board);
  // One thread a norm of the strip from here to its scale.
  const uint norms = c.width / p.run;
  const bool owner = thread_index < norms;
  RangedSum found = {owner ? float2(board[thread_index]) : float2(1.0f), 0};
  const bool doubtful = !in_range(found.sum.x);
  if (group_peak(doubtful ? 1u : 0u, part, at) != 0) {
    values.peak(sum);
    fold_columns<MaxBits, W>(sum, c, p, board);
#pragma unroll
    for (int i = 0; i < W; i++) factor[i] = c.active ? pow2(rescale(as_type<uint>(board[norm_at(c.x + i, p)].x))) : 1.0f;
    const uint peak = owner ? as_type<uint>(board[thread_index].x) : 0u;
    values.squares(factor, sum);
    fold_columns<AddSums, W>(sum, c, p, board);
    if (owner && doubtful) {
      found.sum = board[thread_index];
      found.k = peak == 0 ? kZeroRow : rescale(peak);
    }
  }
  if (owner) {
    const RowScale scale = finish_of(g, c.norm + thread_index, p.rule).of(norm_of(found));
    shared[thread_index] = pack_scale(scale);
    if (p.rule.output != kOutputWeight) statistic[c.norm + thread_index] = scale.s;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.rule.output != kOutputWeight || !c.active) return;
  RowScale scale[W];
#pragma unroll
  for (int i = 0; i < W; i++) scale[i] = unpack_scale(shared[norm_at(c.x + i, p)]);
  values.store(w + c.base + c.x, scale);
}

#define COLUMNS(name, T, W)                                                                                   \
  template [[host_name("wn_columns_k8_" name)]] [[kernel]] decltype(wn_columns<T, W, 8>) wn_columns<T, W, 8>; \
  template [[host_name("wn_columns_" name)]] [[kernel]] decltype(wn_columns<T, W, 0>) wn_columns<T, W, 0>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 8)
COLUMNS("bfloat16", bf16, 8)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
