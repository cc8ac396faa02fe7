// Backward over an outer axis, laid out as in norm_columns.h. Both inputs are read twice: for the dots of each norm, then, from the
// last row to the first, for the gradients.
// Grid: batches * strips threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: 20 bytes an element in float32 and 10 in the half types, against 12 and 6 for an array that fits the registers.
#include "norm_backward.h"
#include "norm_columns.h"

// Dots of W columns, one column apart.
template <int W> struct ColumnDots {
  float2 vv[W], vg[W], gg[W];
};

template <typename T, int W> struct ColumnPairs {
  typedef typename Chunk<T, W>::raw raw;
  device const T* gradW;
  device const T* v;
  uint rows, columns, first, step;
  bool active;

  ulong offset(uint row) const { return ulong(row) * columns; }
  raw at(device const T* x, uint row) const { return *(device const raw*)(x + offset(row)); }
  void dots(thread const float* scaleV, thread const float* scaleG, thread ColumnDots<W>& sum) const {
    for (int i = 0; i < W; i++) sum.vv[i] = sum.vg[i] = sum.gg[i] = float2(0.0f);
    if (!active) return;
    for (uint row = first; row < rows; row += step) {
      float x[W], d[W];
      Chunk<T, W>::open(at(v, row), x);
      Chunk<T, W>::open(at(gradW, row), d);
      for (int i = 0; i < W; i++) {
        x[i] *= scaleV[i];
        d[i] *= scaleG[i];
        sum.vv[i] = add_product(sum.vv[i], x[i], x[i]);
        sum.vg[i] = add_product(sum.vg[i], x[i], d[i]);
        sum.gg[i].x = fma(d[i], d[i], sum.gg[i].x);
      }
    }
  }
  static float2 add_product(float2 sum, float a, float b) {
    const float p = a * b;
    const float rest = exact_products<T>() ? 0.0f : fma(a, b, -p);
    const float2 s = two_sum(sum.x, p);
    return float2(s.x, sum.y + s.y + rest);
  }
  void peak(device const T* x, thread float2* bits) const {
    for (int i = 0; i < W; i++) bits[i] = float2(0.0f);
    if (!active) return;
    for (uint row = first; row < rows; row += step) {
      float e[W];
      Chunk<T, W>::open(at(x, row), e);
      for (int i = 0; i < W; i++) bits[i] = MaxBits::fold(bits[i], float2(fabs(e[i]), 0.0f));
    }
  }
  void store(device T* gradV, thread const Gradient* gradient) const {
    if (!active || first >= rows) return;
    for (uint row = first + (rows - 1 - first) / step * step;; row -= step) {
      float x[W], d[W];
      Chunk<T, W>::open(at(v, row), x);
      Chunk<T, W>::open(at(gradW, row), d);
      for (int i = 0; i < W; i++) d[i] = gradient[i].apply(d[i], x[i]);
      *(device raw*)(gradV + offset(row)) = Chunk<T, W>::close(d);
      if (row < step) break;
    }
  }
};

// Folds the strip's dots; afterwards each column has those of its norm.
template <int W>
inline void fold_dots(thread ColumnDots<W>& sum, Column c, constant ColumnsParams& p, threadgroup float2* board) {
  fold_columns<AddSums, W>(sum.vv, c, p, board);
  for (int i = 0; i < W; i++) sum.vv[i] = c.active ? float2(board[(c.x + i) / p.run]) : float2(1.0f);
  fold_columns<AddSums, W>(sum.vg, c, p, board);
  for (int i = 0; i < W; i++) sum.vg[i] = c.active ? float2(board[(c.x + i) / p.run]) : float2(1.0f);
  fold_columns<AddSums, W>(sum.gg, c, p, board);
  for (int i = 0; i < W; i++) sum.gg[i] = c.active ? float2(board[(c.x + i) / p.run]) : float2(1.0f);
}

template <int W>
inline void fold_peak(thread float2* bits, thread uint* peak, Column c, constant ColumnsParams& p, threadgroup float2* board) {
  fold_columns<MaxBits, W>(bits, c, p, board);
  for (int i = 0; i < W; i++) peak[i] = c.active ? as_type<uint>(board[(c.x + i) / p.run].x) : 0u;
}

template <typename T, int W>
[[kernel]] void wnb_columns(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]],
                            device const uchar* g [[buffer(2)]], device T* gradV [[buffer(3)]],
                            device uchar* gradG [[buffer(4)]], constant ColumnsParams& p [[buffer(5)]],
                            threadgroup float2* board [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]],
                            PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const Column c = column_of(p, group, thread_index, W);
  const ColumnPairs<T, W> values = {gradW + c.base + c.x, v + c.base + c.x, p.rows, p.columns, c.y, p.depth, c.active};

  float scaleV[W], scaleG[W];
  int kv[W], kg[W];
  for (int i = 0; i < W; i++) {
    scaleV[i] = scaleG[i] = 1.0f;
    kv[i] = kg[i] = 0;
  }
  ColumnDots<W> sum;
  values.dots(scaleV, scaleG, sum);
  fold_dots<W>(sum, c, p, board);
  bool doubtful = false;
  for (int i = 0; i < W; i++) doubtful = doubtful || !in_range(sum.vv[i].x) || !in_range(sum.gg[i].x);
  if (group_peak(doubtful ? 1u : 0u, part, at) != 0) {
    float2 bits[W];
    uint peakV[W], peakG[W];
    values.peak(v + c.base + c.x, bits);
    fold_peak<W>(bits, peakV, c, p, board);
    values.peak(gradW + c.base + c.x, bits);
    fold_peak<W>(bits, peakG, c, p, board);
    for (int i = 0; i < W; i++) {
      scaleV[i] = pow2(rescale(peakV[i]));
      scaleG[i] = pow2(rescale(peakG[i]));
    }
    ColumnDots<W> again;
    values.dots(scaleV, scaleG, again);
    fold_dots<W>(again, c, p, board);
    for (int i = 0; i < W; i++) {
      if (in_range(sum.vv[i].x) && in_range(sum.gg[i].x)) continue;
      sum.vv[i] = again.vv[i];
      sum.vg[i] = again.vg[i];
      kv[i] = peakV[i] == 0 ? kZeroRow : rescale(peakV[i]);
      kg[i] = rescale(peakG[i]);
    }
  }
  if (!c.active) return;
  Gradient gradient[W];
  for (int i = 0; i < W; i++) {
    const ulong norm = c.norm + (c.x + i) / p.run;
    const RangedDots r = {{sum.vv[i], sum.vg[i], 0.0f}, kv[i], kg[i]};
    gradient[i] = gradient_of(r, load_any(g, p.rule.gType, norm), p.rule);
    if (c.y == 0 && (c.x + i) % p.run == 0) store_gain(gradG, p.rule.gType, norm, gradient[i].gradG);
  }
  values.store(gradV + c.base + c.x, gradient);
}

#define COLUMNS(name, T, W) \
  template [[host_name("wnb_columns_" name)]] [[kernel]] decltype(wnb_columns<T, W>) wnb_columns<T, W>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 8)
COLUMNS("bfloat16", bf16, 8)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
