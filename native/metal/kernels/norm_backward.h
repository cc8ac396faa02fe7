// Gradients of weight norm, shared by the backward kernels. With S = sum(gradW v) and n the norm:
//   gradG = S / n,   gradV = (g / n) (gradW - v S / n^2)
// S, n^2 and S / n^2 are kept as float2(hi, lo) and the difference is formed from both parts by fma, because it cancels
// where gradW points along v.
#pragma once
#include "norm_rows.h"

// The sums a row's gradients follow from. `gg` (plain float) only tells whether gradW stays in range.
struct Dots {
  float2 vv, vg;
  float gg;
};
inline Dots zero_dots() {
  const Dots d = {float2(0.0f), float2(0.0f), 0.0f};
  return d;
}
inline Dots add_dots(Dots a, Dots b) {
  const Dots d = {add_sums(a.vv, b.vv), add_sums(a.vg, b.vg), a.gg + b.gg};
  return d;
}
inline Dots simd_add(Dots d, uint lanes) {
  d.vv = simd_add(d.vv, lanes);
  d.vg = simd_add(d.vg, lanes);
  for (ushort step = ushort(lanes / 2); step > 0; step >>= 1) d.gg += simd_shuffle_xor(d.gg, step);
  return d;
}
// Over the whole threadgroup; `part` holds 3 * 32 values here.
inline void share_dots(Dots d, threadgroup float2* part, thread const Place& at) {
  if (at.lane == 0) {
    part[at.simdgroup] = d.vv;
    part[32 + at.simdgroup] = d.vg;
    part[64 + at.simdgroup] = float2(d.gg, 0.0f);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}
inline Dots shared_dots(threadgroup const float2* part, thread const Place& at) {
  Dots all = zero_dots();
  if (at.lane < at.simdgroups) {
    all.vv = part[at.lane];
    all.vg = part[32 + at.lane];
    all.gg = part[64 + at.lane].x;
  }
  return all;
}
inline Dots group_add(Dots d, threadgroup float2* part, thread const Place& at) {
  share_dots(simd_add(d, 32), part, at);
  return simd_add(shared_dots(part, at), 32);
}

// Dots of a row whose v was multiplied by 2^kv and gradW by 2^kg; kv is kZeroRow where v is all zeros.
struct RangedDots {
  Dots dots;
  int kv, kg;
};
inline bool dots_in_range(Dots d) {
  return in_range(d.vv.x) && in_range(d.gg);
}

// Dots of a part of a row, on their way to the dispatch that adds up the parts.
struct PartialDots {
  float4 sums;  // vv, vg
  float gg;
  int kv, kg, unused;
};
inline void store_partial(device PartialDots* partial, RangedDots r) {
  partial->sums = float4(r.dots.vv.x, r.dots.vv.y, r.dots.vg.x, r.dots.vg.y);
  partial->gg = r.dots.gg;
  partial->kv = r.kv;
  partial->kg = r.kg;
}

// Running dots over chunks.
template <typename T, int W>
struct DotSums {
  Products<T, W, true> vv, vg;
  float gg;

  void clear() {
    vv.clear();
    vg.clear();
    gg = 0.0f;
  }
  void add(typename Chunk<T, W>::raw v, typename Chunk<T, W>::raw gradW, float scaleV, float scaleG) {
    float x[W], d[W];
    Chunk<T, W>::open(v, x);
    Chunk<T, W>::open(gradW, d);
#pragma unroll
    for (int i = 0; i < W; i++) {
      x[i] *= scaleV;
      d[i] *= scaleG;
      gg = fma(d[i], d[i], gg);
    }
    vv.add(x, x);
    vg.add(x, d);
  }
  Dots total() const {
    const Dots d = {vv.total(), vg.total(), gg};
    return d;
  }
};
template <typename T, int W>
inline uint chunk_peak(typename Chunk<T, W>::raw c) {
  float x[W];
  Chunk<T, W>::open(c, x);
  return peak_bits<W>(x);
}

// x times two powers of two. A subnormal result is rounded to nearest even by integers, because GPUs flush it.
inline float times_powers(float x, float a, float b) {
  const uint bits = as_type<uint>(x);
  const int exponent = exponent_of(bits);
  const int below = -126 - (exponent + exponent_of(as_type<uint>(a)) + exponent_of(as_type<uint>(b)));
  if (below <= 0 || exponent == -127) return x * a * b;
  const uint shift = uint(min(below, 25)), m = (bits & 0x7fffffu) | 0x800000u;
  const uint rounded = (m + (1u << (shift - 1)) - 1u + ((m >> shift) & 1u)) >> shift;
  return as_type<float>((bits & 0x80000000u) | rounded);
}

// What every element of a row needs.
struct Gradient {
  float2 along;          // S / n^2
  float s;               // g / n, up to the powers of two below
  float scaleV, scaleG;  // applied to v and gradW first
  float after1, after2;  // applied to the result
  bool plain;            // those four are 1, and no result is NaN
  float gradG;

  float combine(float gradW, float v) const { return fma(-v, along.y, fma(-v, along.x, gradW)); }
  float apply(float gradW, float v) const { return times_powers(combine(gradW * scaleG, v * scaleV) * s, after1, after2); }
};

template <typename T, int W>
inline typename Chunk<T, W>::raw gradient_chunk(typename Chunk<T, W>::raw gradW, typename Chunk<T, W>::raw v,
                                                thread const Gradient& gradient) {
  float d[W], x[W];
  Chunk<T, W>::open(gradW, d);
  Chunk<T, W>::open(v, x);
#pragma unroll
  for (int i = 0; i < W; i++) d[i] = gradient.apply(d[i], x[i]);
  return Chunk<T, W>::close(d);
}
template <typename T, int W>
inline typename Chunk<T, W>::raw gradient_chunk_plain(typename Chunk<T, W>::raw gradW, typename Chunk<T, W>::raw v,
                                                      thread const Gradient& gradient) {
  float d[W], x[W];
  Chunk<T, W>::open(gradW, d);
  Chunk<T, W>::open(v, x);
#pragma unroll
  for (int i = 0; i < W; i++) d[i] = gradient.s * gradient.combine(d[i], x[i]);
  return Chunk<T, W>::close_number(d);
}
// The plain gradients of chunks gradW[k] and v[k] to target[first + k step] where that is below count.
template <typename T, int W, int K>
inline void store_plain(device typename Chunk<T, W>::raw* target, thread const typename Chunk<T, W>::raw* gradW,
                        thread const typename Chunk<T, W>::raw* v, uint first, uint step, uint count, thread const Gradient& gradient) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (first + k * step < count) target[first + k * step] = gradient_chunk_plain<T, W>(gradW[k], v[k], gradient);
  }
}

// 2^e as two factors for any e that matters.
inline float pow2_half(int e, bool second) {
  const int h = e / 2;
  return pow2(clamp(second ? e - h : h, -126, 127));
}

inline bool is_number(float x) {
  return !(isnan(x) || isinf(x));
}

inline Gradient gradient_of(RangedDots r, float g, constant NormRule& rule) {
  const RangedSum squares = {r.dots.vv, r.kv};
  const Norm norm = norm_of(squares);
  const float whole = norm.whole();
  const float dot = r.dots.vg.x + r.dots.vg.y;
  const bool numbers = is_number(norm.n) && is_number(r.dots.gg);
  Gradient d = {float2(0.0f), 0.0f, 1.0f, 1.0f, 1.0f, 1.0f, numbers, 0.0f};
  const int kv = norm.k;
  if (eps_clamps(norm, rule)) {
    d.s = g / rule.eps;
    d.plain = numbers && is_number(d.s);
    d.gradG = (dot * pow2(-r.kg)) / rule.eps * pow2(-kv);
    return d;
  }
  if (vanishes(norm, rule)) return d;
  d.gradG = dot / norm.n * pow2(-r.kg);
  // S / n^2 in both parts.
  const float2 vv = r.dots.vv, vg = r.dots.vg;
  const float q = vg.x / vv.x;
  const float rest = fma(-q, vv.x, vg.x) + (vg.y - q * vv.y);
  d.along = float2(q, rest / vv.x);
  d.s = g / whole;
  d.plain = numbers && is_number(d.s) && is_number(d.along.x) && is_number(d.along.y);
  if (kv == 0 && r.kg == 0 && (is_normal(d.s) || g == 0.0f || !is_normal(norm.n))) return d;
  const int up = kv == 0 ? rescale(as_type<uint>(norm.n)) : 0;
  const int ug = rescale(as_type<uint>(fabs(g)));
  d.s = (g * pow2(ug)) / (norm.n * pow2(up));
  d.scaleV = pow2(kv);
  d.scaleG = pow2(r.kg);
  d.after1 = pow2_half(kv + up - ug - r.kg, false);
  d.after2 = pow2_half(kv + up - ug - r.kg, true);
  d.plain = false;
  return d;
}

inline void store_gain(device uchar* gradG, uint type, ulong i, float x) {
  if (type == kFloat32) ((device float*)gradG)[i] = x;
  if (type == kFloat16) ((device half*)gradG)[i] = narrow<half>(x);
  if (type == kBFloat16) ((device bf16*)gradG)[i] = narrow<bf16>(x);
}

// Dots of a row shared by `lanes` neighbouring lanes, with a second look where a sum left the safe range.
template <typename Row>
inline RangedDots simd_dots(thread Row& row, uint lanes, bool valid) {
  RangedDots r = {simd_add(row.dots(), lanes), 0, 0};
  const bool doubtful = valid && !dots_in_range(r.dots);
  if (simd_any(doubtful)) {
    const uint peakV = simd_peak(row.peakV(), lanes), peakG = simd_peak(row.peakG(), lanes);
    const Dots again = simd_add(row.dots(pow2(rescale(peakV)), pow2(rescale(peakG))), lanes);
    if (doubtful) {
      r.dots = again;
      r.kv = peakV == 0 ? kZeroRow : rescale(peakV);
      r.kg = rescale(peakG);
    }
    row.load();
  }
  return r;
}
// The same for a row that a whole threadgroup shares.
template <typename Row>
inline RangedDots group_second_dots(thread Row& row, threadgroup float2* part, thread const Place& at) {
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint peakV = group_peak(row.peakV(), part, at), peakG = group_peak(row.peakG(), part + 32, at);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const RangedDots r = {group_add(row.dots(pow2(rescale(peakV)), pow2(rescale(peakG))), part, at), peakV == 0 ? kZeroRow : rescale(peakV),
                        rescale(peakG)};
  row.load();
  return r;
}
template <typename Row>
inline RangedDots group_dots(thread Row& row, threadgroup float2* part, thread const Place& at) {
  const RangedDots r = {group_add(row.dots(), part, at), 0, 0};
  return dots_in_range(r.dots) ? r : group_second_dots(row, part, at);
}

// A gradient on its way through two float4 of threadgroup memory; w of the first < 0 says that there is none yet.
inline void pack_gradient(Gradient d, threadgroup float4* shared) {
  shared[0] = float4(d.along.x, d.along.y, d.s, d.plain ? 1.0f : 0.0f);
  shared[1] = float4(d.scaleV, d.scaleG, d.after1, d.after2);
}
inline Gradient unpack_gradient(float4 a, float4 b) {
  const Gradient d = {float2(a.x, a.y), a.z, b.x, b.y, b.z, b.w, a.w > 0.0f, 0.0f};
  return d;
}
// The gradients of such a row: one simdgroup adds up and finishes for all, unless a sum is doubtful. Stores gradG.
template <typename Row>
inline Gradient group_gradient(thread Row& row, device const uchar* g, device uchar* gradG, ulong i, constant NormRule& rule,
                               threadgroup float2* part, threadgroup float4* shared, thread const Place& at) {
  const float gain = load_any(g, rule.gType, i);
  const Dots own = simd_add(row.dots(), 32);
  share_dots(own, part, at);
  if (at.simdgroup == 0) {
    const RangedDots r = {simd_add(shared_dots(part, at), 32), 0, 0};
    if (at.lane == 0) {
      shared[0] = float4(0.0f, 0.0f, 0.0f, -1.0f);
      if (dots_in_range(r.dots)) {
        const Gradient d = gradient_of(r, gain, rule);
        pack_gradient(d, shared);
        store_gain(gradG, rule.gType, i, d.gradG);
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float4 found = shared[0];
  if (found.w >= 0.0f) return unpack_gradient(found, shared[1]);
  const Gradient d = gradient_of(group_second_dots(row, part, at), gain, rule);
  if (at.thread_index == 0) store_gain(gradG, rule.gType, i, d.gradG);
  return d;
}

// Rows of any length, read from memory for the sums and again for the gradients: U chunks of each in flight.
template <typename T, int W, int U>
struct LoopedPair {
  typedef typename Chunk<T, W>::raw raw;
  LoopedRow<T, W, U> gradW, v;

  Dots dots(float scaleV, float scaleG) const {
    DotSums<T, W> sums;
    sums.clear();
#pragma unroll 1
    for (uint base = v.first; base < v.count; base += U * v.step) {
      raw x[U], d[U];
      v.load(base, x);
      gradW.load(base, d);
#pragma unroll
      for (int k = 0; k < U; k++) sums.add(x[k], d[k], scaleV, scaleG);
    }
    return sums.total();
  }
  Dots dots() const { return dots(1.0f, 1.0f); }
  void load() const {}
  uint peakV() const { return v.peak(); }
  uint peakG() const { return gradW.peak(); }
  // `d` and `x` hold the chunks of gradW and v at v.last().
  void store(device T* gradV, thread const Gradient& gradient, thread raw* d, thread raw* x) const {
    if (!gradient.plain) return store_any(gradV, gradient);
    for (uint base = v.last();; base -= U * v.step) {
      store_plain<T, W, U>((device raw*)gradV, d, x, base, v.step, v.count, gradient);
      if (base < U * v.step) break;
      v.load(base - U * v.step, x);
      gradW.load(base - U * v.step, d);
    }
  }
  void store_any(device T* gradV, thread const Gradient& gradient) const {
#pragma unroll 1
    for (uint i = v.first; i < v.count; i += v.step) {
      ((device raw*)gradV)[i] = gradient_chunk<T, W>(gradW.at(i), v.at(i), gradient);
    }
  }
};

// Both rows in registers: gradW and v are read once, as CachedRow does it.
template <typename T, int W, int K>
struct CachedPair {
  CachedRow<T, W, K> gradW, v;

  void load() {
    gradW.load();
    v.load();
  }
  Dots dots() const {
    DotSums<T, W> sums;
    sums.clear();
#pragma unroll
    for (int k = 0; k < K; k++) sums.add(v.chunks[k], gradW.chunks[k], 1.0f, 1.0f);
    return sums.total();
  }
  Dots dots(float scaleV, float scaleG) const {
    const LoopedPair<T, W, 1> memory = {gradW.memory, v.memory};
    return memory.dots(scaleV, scaleG);
  }
  uint peakV() const { return v.peak(); }
  uint peakG() const { return gradW.peak(); }
  void store(device T* gradV, thread const Gradient& gradient, uint zero) {
    if (!gradient.plain) {
      const LoopedPair<T, W, 1> memory = {gradW.memory, v.memory};
      return memory.store_any(gradV, gradient);
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
      gradW.chunks[k] = reopened(gradW.chunks[k], zero);
      v.chunks[k] = reopened(v.chunks[k], zero);
    }
    store_plain<T, W, K>((device typename Chunk<T, W>::raw*)gradV, gradW.chunks, v.chunks, v.memory.first + zero, v.memory.step,
                         v.memory.count, gradient);
  }
};
