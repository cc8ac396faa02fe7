// Backward over an outer axis, laid out as in norm_columns.h. Both inputs are read twice: for the dots of each norm, then, from the
// last row to the first, for the gradients.
// Grid: batches * strips threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: 20 bytes an element in float32 and 10 in the half types, against 12 and 6 for an array that fits the registers.
#include "norm_backward.h"
#include "norm_columns.h"

// Dots of W columns, one column apart.
template <int W>
struct ColumnDots {
  float2 vv[W], vg[W], gg[W];
};

template <typename T, int W>
struct ColumnPairs {
  typedef typename Chunk<T, W>::raw raw;
  device const T* gradW;
  device const T* v;
  uint rows, columns, first, step;
  bool active;

  ulong offset(uint row) const { return ulong(row) * columns; }
  raw at(device const T* x, uint row) const { return *(device const raw*)(x + offset(row)); }
  void dots(thread const float* scaleV, thread const float* scaleG, thread ColumnDots<W>& sum) const {
#pragma unroll
    for (int i = 0; i < W; i++) sum.vv[i] = sum.vg[i] = sum.gg[i] = float2(0.0f);
    if (!active) return;
    uint row = first;
    for (; row + step < rows; row += 2 * step) {
      const raw a = at(v, row), b = at(gradW, row), c = at(v, row + step), d = at(gradW, row + step);
      add(a, b, scaleV, scaleG, sum);
      add(c, d, scaleV, scaleG, sum);
    }
    if (row < rows) add(at(v, row), at(gradW, row), scaleV, scaleG, sum);
  }
  static void add(raw rowV, raw rowG, thread const float* scaleV, thread const float* scaleG, thread ColumnDots<W>& sum) {
    float x[W], d[W];
    Chunk<T, W>::open(rowV, x);
    Chunk<T, W>::open(rowG, d);
#pragma unroll
    for (int i = 0; i < W; i++) {
      x[i] *= scaleV[i];
      d[i] *= scaleG[i];
      sum.vv[i] = add_product(sum.vv[i], x[i], x[i]);
      sum.vg[i] = add_product(sum.vg[i], x[i], d[i]);
      sum.gg[i].x = fma(d[i], d[i], sum.gg[i].x);
    }
  }
  static float2 add_product(float2 sum, float a, float b) {
    const float p = a * b;
    const float rest = exact_products<T>() ? 0.0f : fma(a, b, -p);
    const float2 s = two_sum(sum.x, p);
    return float2(s.x, sum.y + s.y + rest);
  }
  void peak(device const T* x, thread float2* bits) const {
#pragma unroll
    for (int i = 0; i < W; i++) bits[i] = float2(0.0f);
    if (!active) return;
    for (uint row = first; row < rows; row += step) {
      float e[W];
      Chunk<T, W>::open(at(x, row), e);
#pragma unroll
      for (int i = 0; i < W; i++) bits[i] = MaxBits::fold(bits[i], float2(fabs(e[i]), 0.0f));
    }
  }
  // Backwards, so that it meets what the dots left in the caches.
  void store(device T* gradV, thread const Gradient* gradient) const {
    if (first >= rows) return;
    uint row = first + (rows - 1 - first) / step * step + step;
    for (; row >= first + 2 * step; row -= 2 * step) {
      const raw a = at(v, row - step), b = at(gradW, row - step), c = at(v, row - 2 * step), d = at(gradW, row - 2 * step);
      *(device raw*)(gradV + offset(row - step)) = applied(b, a, gradient);
      *(device raw*)(gradV + offset(row - 2 * step)) = applied(d, c, gradient);
    }
    if (row > first) *(device raw*)(gradV + offset(row - step)) = applied(at(gradW, row - step), at(v, row - step), gradient);
  }
  static raw applied(raw rowG, raw rowV, thread const Gradient* gradient) {
    float x[W], d[W];
    Chunk<T, W>::open(rowV, x);
    Chunk<T, W>::open(rowG, d);
#pragma unroll
    for (int i = 0; i < W; i++) d[i] = gradient[i].apply(d[i], x[i]);
    return Chunk<T, W>::close(d);
  }
};

// Folds the strip's dots; afterwards thread j has those of norm j.
template <int W>
inline Dots fold_dots(thread ColumnDots<W>& sum, Column c, constant ColumnsParams& p, threadgroup float2* board, uint j, bool owner) {
  Dots d = {float2(1.0f), float2(1.0f), 1.0f};
  fold_columns<AddSums, W>(sum.vv, c, p, board);
  if (owner) d.vv = board[j];
  fold_columns<AddSums, W>(sum.vg, c, p, board);
  if (owner) d.vg = board[j];
  fold_columns<AddSums, W>(sum.gg, c, p, board);
  if (owner) d.gg = board[j].x;
  return d;
}

// Folds magnitudes; afterwards factor[i] brings column i's norm near 1, and thread j has the peak of norm j.
template <int W>
inline uint fold_peak(thread float2* bits, thread float* factor, Column c, constant ColumnsParams& p, threadgroup float2* board, uint j,
                      bool owner) {
  fold_columns<MaxBits, W>(bits, c, p, board);
#pragma unroll
  for (int i = 0; i < W; i++) factor[i] = c.active ? pow2(rescale(as_type<uint>(board[norm_at(c.x + i, p)].x))) : 1.0f;
  return owner ? as_type<uint>(board[j].x) : 0u;
}

template <typename T, int W>
[[kernel]] void wnb_columns(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]], device const uchar* g [[buffer(2)]],
                            device T* gradV [[buffer(3)]], device uchar* gradG [[buffer(4)]], constant ColumnsParams& p [[buffer(5)]],
                            threadgroup float2* board [[threadgroup(0)]], uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  threadgroup float4 shared[2 * kStripNorms];
  const Place at = PLACE;
  const Column c = column_of(p, group, thread_index, W);
  const ColumnPairs<T, W> values = {gradW + c.base + c.x, v + c.base + c.x, p.rows, p.columns, c.y, p.depth, c.active};

  float scaleV[W], scaleG[W];
#pragma unroll
  for (int i = 0; i < W; i++) scaleV[i] = scaleG[i] = 1.0f;
  const bool owner = thread_index < c.width / p.run;
  ColumnDots<W> sum;
  values.dots(scaleV, scaleG, sum);
  RangedDots found = {fold_dots<W>(sum, c, p, board, thread_index, owner), 0, 0};
  const bool doubtful = !dots_in_range(found.dots);
  if (group_peak(doubtful ? 1u : 0u, part, at) != 0) {
    float2 bits[W];
    values.peak(values.v, bits);
    const uint peakV = fold_peak<W>(bits, scaleV, c, p, board, thread_index, owner);
    values.peak(values.gradW, bits);
    const uint peakG = fold_peak<W>(bits, scaleG, c, p, board, thread_index, owner);
    values.dots(scaleV, scaleG, sum);
    const Dots again = fold_dots<W>(sum, c, p, board, thread_index, owner);
    if (doubtful) {
      found.dots = again;
      found.kv = peakV == 0 ? kZeroRow : rescale(peakV);
      found.kg = rescale(peakG);
    }
  }
  if (owner) {
    const ulong norm = c.norm + thread_index;
    const Gradient d = gradient_of(found, load_any(g, p.rule.gType, norm), p.rule);
    pack_gradient(d, shared + 2 * thread_index);
    store_gain(gradG, p.rule.gType, norm, d.gradG);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (!c.active) return;
  Gradient gradient[W];
#pragma unroll
  for (int i = 0; i < W; i++) {
    const uint j = 2 * norm_at(c.x + i, p);
    gradient[i] = unpack_gradient(shared[j], shared[j + 1]);
  }
  values.store(gradV + c.base + c.x, gradient);
}

#define COLUMNS(name, T, W) template [[host_name("wnb_columns_" name)]] [[kernel]] decltype(wnb_columns<T, W>) wnb_columns<T, W>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 8)
COLUMNS("bfloat16", bf16, 8)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
