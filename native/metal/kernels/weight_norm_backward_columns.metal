// Backward over an outer axis, laid out as in norm_columns.h, rows cut into parts:
//   wnb_columns_sum     leaves the dots of its part in `partial`
//   wnb_columns_apply   adds up the partial dots of its norms and writes its part of gradV, parts last to first, so that the first ones
//                       meet what the sums left in the caches
// Grid of both [batches * strips, parts] threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: gradW and v read twice, gradV written: 20 bytes an element in float32 and 10 in the half types, 32 bytes a norm and part.
#include "norm_backward.h"
#include "norm_columns.h"

enum : int { kPairs = 4 };  // rows of each array in flight

// Dots of W columns, one column apart.
template <int W>
struct ColumnDots {
  float2 vv[W], vg[W], gg[W];
};

template <typename T, int W>
struct ColumnPairs {
  typedef typename Chunk<T, W>::raw raw;
  ColumnRows<T, W, kPairs> gradW, v;

  void load(uint row, thread raw* d, thread raw* x) const {
    v.load(row, x);
    gradW.load(row, d);
  }
  void dots(thread const float* scaleV, thread const float* scaleG, thread ColumnDots<W>& sum) const {
#pragma unroll
    for (int i = 0; i < W; i++) sum.vv[i] = sum.vg[i] = sum.gg[i] = float2(0.0f);
#pragma unroll 1
    for (uint row = v.first; row < v.end; row += kPairs * v.step) {
      raw d[kPairs], x[kPairs];
      load(row, d, x);
#pragma unroll
      for (int k = 0; k < kPairs; k++) add(x[k], d[k], scaleV, scaleG, sum);
    }
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
    const float2 s = two_sum(sum.x, p);
    return float2(s.x, sum.y + (sizeof(T) == 4 ? s.y + fma(a, b, -p) : s.y));
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
[[kernel]] void wnb_columns_sum(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]],
                                device PartialDots* partial [[buffer(2)]], constant ColumnsParams& p [[buffer(3)]],
                                threadgroup float2* board [[threadgroup(0)]], uint2 group [[threadgroup_position_in_grid]],
                                PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const Column c = column_of(p, group.x, group.y, thread_index, W);
  const ColumnPairs<T, W> values = {column_rows<T, W, kPairs>(gradW, c, p), column_rows<T, W, kPairs>(v, c, p)};

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
    values.v.peak(bits);
    const uint peakV = fold_peak<W>(bits, scaleV, c, p, board, thread_index, owner);
    values.gradW.peak(bits);
    const uint peakG = fold_peak<W>(bits, scaleG, c, p, board, thread_index, owner);
    values.dots(scaleV, scaleG, sum);
    const Dots again = fold_dots<W>(sum, c, p, board, thread_index, owner);
    if (doubtful) {
      found.dots = again;
      found.kv = peakV == 0 ? kZeroRow : rescale(peakV);
      found.kg = rescale(peakG);
    }
  }
  if (owner) store_partial(partial + (group.y * p.norms + c.norm + thread_index), found);
}

// Two parts' dots, which may stand at different powers of two.
inline RangedDots add_ranged(RangedDots a, RangedDots b) {
  const int kv = min(a.kv, b.kv), kg = min(a.kg, b.kg);
  const float va = pow2(max(kv - a.kv, -126)), vb = pow2(max(kv - b.kv, -126));
  const float ga = pow2(max(kg - a.kg, -126)), gb = pow2(max(kg - b.kg, -126));
  const Dots x = {a.dots.vv * va * va, a.dots.vg * va * ga, a.dots.gg * ga * ga};
  const Dots y = {b.dots.vv * vb * vb, b.dots.vg * vb * gb, b.dots.gg * gb * gb};
  const RangedDots both = {add_dots(x, y), kv, kg};
  return both;
}

template <typename T, int W>
[[kernel]] void wnb_columns_apply(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]], device const uchar* g [[buffer(2)]],
                                  device T* gradV [[buffer(3)]], device uchar* gradG [[buffer(4)]],
                                  device const PartialDots* partial [[buffer(5)]], constant ColumnsParams& p [[buffer(6)]],
                                  uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  typedef typename Chunk<T, W>::raw raw;
  threadgroup float4 shared[2 * kStripNorms];
  const Column c = column_of(p, group.x, p.parts - 1 - group.y, thread_index, W);
  const ColumnPairs<T, W> values = {column_rows<T, W, kPairs>(gradW, c, p), column_rows<T, W, kPairs>(v, c, p)};
  // The last rows are on their way while the partial dots are added up.
  raw d[kPairs], x[kPairs];
  values.load(values.v.last(), d, x);
  if (thread_index < c.width / p.run) {
    const ulong norm = c.norm + thread_index;
    RangedDots found = {zero_dots(), kZeroRow, kZeroRow};
    for (uint i = 0; i < p.parts; i++) {
      device const PartialDots* u = partial + (i * p.norms + norm);
      const float4 s = u->sums;
      const RangedDots next = {{float2(s.x, s.y), float2(s.z, s.w), u->gg}, u->kv, u->kg};
      found = add_ranged(found, next);
    }
    const Gradient gradient = gradient_of(found, load_any(g, p.rule.gType, norm), p.rule);
    pack_gradient(gradient, shared + 2 * thread_index);
    if (group.y == 0) store_gain(gradG, p.rule.gType, norm, gradient.gradG);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (!c.active) return;
  bool plain = true;
  float2 along[W];
  float s[W];
#pragma unroll
  for (int i = 0; i < W; i++) {
    const uint j = 2 * norm_at(c.x + i, p);
    const Gradient gradient = unpack_gradient(shared[j], shared[j + 1]);
    along[i] = gradient.along;
    s[i] = gradient.s;
    plain = plain && gradient.plain;
  }
  device T* target = gradV + c.base + c.x;
  if (!plain) {
#pragma unroll 1
    for (uint row = values.v.first; row < values.v.end; row += p.depth) {
      float a[W], b[W];
      Chunk<T, W>::open(values.gradW.at(row), a);
      Chunk<T, W>::open(values.v.at(row), b);
#pragma unroll
      for (int i = 0; i < W; i++) {
        const uint j = 2 * norm_at(c.x + i, p);
        a[i] = unpack_gradient(shared[j], shared[j + 1]).apply(a[i], b[i]);
      }
      *(device raw*)(target + ulong(row) * p.columns) = Chunk<T, W>::close(a);
    }
    return;
  }
  for (uint base = values.v.last();; base -= kPairs * p.depth) {
    device T* row = target + ulong(base) * p.columns;
#pragma unroll
    for (int k = 0; k < kPairs; k++) {
      float a[W], b[W];
      Chunk<T, W>::open(d[k], a);
      Chunk<T, W>::open(x[k], b);
#pragma unroll
      for (int i = 0; i < W; i++) a[i] = s[i] * fma(-b[i], along[i].y, fma(-b[i], along[i].x, a[i]));
      if (base + k * p.depth < values.v.end) *(device raw*)row = Chunk<T, W>::close_number(a);
      row += ulong(p.depth) * p.columns;
    }
    if (base < values.v.first + kPairs * p.depth) break;
    values.load(base - kPairs * p.depth, d, x);
  }
}

#define COLUMNS(name, T, W)                                                                                         \
  template [[host_name("wnb_columns_sum_" name)]] [[kernel]] decltype(wnb_columns_sum<T, W>) wnb_columns_sum<T, W>; \
  template [[host_name("wnb_columns_apply_" name)]] [[kernel]] decltype(wnb_columns_apply<T, W>) wnb_columns_apply<T, W>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 4)
COLUMNS("bfloat16", bf16, 4)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
