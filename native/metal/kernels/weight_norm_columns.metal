// Weight norm over an outer axis (columns, and the nest kept / reduced / kept / run): see norm_columns.h for the layout.
//   wn_columns_k8  up to 8 rows a thread, kept in registers: v is read once
//   wn_columns     any number of rows: v is read twice, the second time from the last row to the first
// Grid: batches * strips threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: 8 bytes an element in float32 and 4 in the half types when kept in registers (the least possible), 12 and 6 otherwise;
// norms alone 4 and 2.
#include "norm_columns.h"

template <typename T, int W> inline void add_squares(typename Chunk<T, W>::raw c, thread const float* factor, thread float2* sum) {
  float x[W];
  Chunk<T, W>::open(c, x);
  for (int i = 0; i < W; i++) {
    x[i] *= factor[i];
    const float square = x[i] * x[i];
    const float rest = exact_products<T>() ? 0.0f : fma(x[i], x[i], -square);
    const float2 s = two_sum(sum[i].x, square);
    sum[i] = float2(s.x, sum[i].y + s.y + rest);
  }
}

// The rows of one thread: the first K of them in registers, every one of them in memory.
template <typename T, int W, int K> struct ColumnRows {
  typedef typename Chunk<T, W>::raw raw;
  raw kept[K > 0 ? K : 1];
  device const T* v;
  uint rows, columns, first, step;
  bool active;

  raw at(uint row) const { return *(device const raw*)(v + ulong(row) * columns); }
  void load() {
    for (int k = 0; k < K; k++) {
      const uint row = first + k * step;
      kept[k] = raw(0);
      if (active && row < rows) kept[k] = at(row);
    }
  }
  void squares(thread const float* factor, thread float2* sum) const {
    for (int i = 0; i < W; i++) sum[i] = float2(0.0f);
    if (K > 0) {
      for (int k = 0; k < K; k++) add_squares<T, W>(kept[k], factor, sum);
    } else if (active) {
      uint row = first;
      for (; row + 3 * step < rows; row += 4 * step) {
        raw c[4];
        for (int k = 0; k < 4; k++) c[k] = at(row + k * step);
        for (int k = 0; k < 4; k++) add_squares<T, W>(c[k], factor, sum);
      }
      for (; row < rows; row += step) add_squares<T, W>(at(row), factor, sum);
    }
  }
  void peak(thread float2* bits) const {
    for (int i = 0; i < W; i++) bits[i] = float2(0.0f);
    if (!active) return;
    for (uint row = first; row < rows; row += step) {
      float x[W];
      Chunk<T, W>::open(at(row), x);
      for (int i = 0; i < W; i++) bits[i] = MaxBits::fold(bits[i], float2(fabs(x[i]), 0.0f));
    }
  }
  static raw scaled(raw c, thread const RowScale* scale) {
    float x[W];
    Chunk<T, W>::open(c, x);
    for (int i = 0; i < W; i++) x[i] = scale[i].apply(x[i]);
    return Chunk<T, W>::close(x);
  }
  void store(device T* w, thread const RowScale* scale) const {
    if (!active) return;
    if (K > 0) {
      for (int k = 0; k < K; k++) {
        const uint row = first + k * step;
        if (row < rows) *(device raw*)(w + ulong(row) * columns) = scaled(kept[k], scale);
      }
      return;
    }
    if (first >= rows) return;
    for (uint row = first + (rows - 1 - first) / step * step;; row -= step) {
      *(device raw*)(w + ulong(row) * columns) = scaled(at(row), scale);
      if (row < step) break;
    }
  }
};

template <typename T, int W, int K>
[[kernel]] void wn_columns(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]], device T* w [[buffer(2)]],
                           device float* statistic [[buffer(3)]], constant ColumnsParams& p [[buffer(4)]],
                           threadgroup float2* board [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]],
                           PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
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
  int k[W];
  for (int i = 0; i < W; i++) {
    factor[i] = 1.0f;
    k[i] = 0;
  }
  values.squares(factor, sum);
  fold_columns<AddSums, W>(sum, c, p, board);
  bool doubtful = false;
  for (int i = 0; i < W; i++) {
    sum[i] = c.active ? float2(board[(c.x + i) / p.run]) : float2(1.0f);
    doubtful = doubtful || !in_range(sum[i].x);
  }
  // A second look, by the whole strip, where the squares of some norm left the safe range.
  if (group_peak(doubtful ? 1u : 0u, part, at) != 0) {
    float2 again[W];
    values.peak(again);
    fold_columns<MaxBits, W>(again, c, p, board);
    for (int i = 0; i < W; i++) {
      const uint peak = c.active ? as_type<uint>(board[(c.x + i) / p.run].x) : 0u;
      k[i] = peak == 0 ? kZeroRow : rescale(peak);
      factor[i] = pow2(rescale(peak));
    }
    values.squares(factor, again);
    fold_columns<AddSums, W>(again, c, p, board);
    for (int i = 0; i < W; i++) {
      if (in_range(sum[i].x)) {
        k[i] = 0;
      } else if (c.active) {
        sum[i] = board[(c.x + i) / p.run];
      }
    }
  }
  if (!c.active) return;
  RowScale scale[W];
  for (int i = 0; i < W; i++) {
    const uint j = (c.x + i) / p.run;
    const RangedSum s = {sum[i], k[i]};
    const Norm norm = norm_of(s);
    const float gain = p.rule.output == kOutputNorm ? 0.0f : load_any(g, p.rule.gType, c.norm + j);
    if (p.rule.output == kOutputWeight) {
      scale[i] = row_scale(norm, gain, p.rule);
    } else if (c.y == 0 && (c.x + i) % p.run == 0) {
      statistic[c.norm + j] = row_statistic(norm, gain, p.rule);
    }
  }
  if (p.rule.output == kOutputWeight) values.store(w + c.base + c.x, scale);
}

#define COLUMNS(name, T, W)                                                                                             \
  template [[host_name("wn_columns_k8_" name)]] [[kernel]] decltype(wn_columns<T, W, 8>) wn_columns<T, W, 8>;           \
  template [[host_name("wn_columns_" name)]] [[kernel]] decltype(wn_columns<T, W, 0>) wn_columns<T, W, 0>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 8)
COLUMNS("bfloat16", bf16, 8)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
