// Shared by every weight norm kernel: compensated sums of products, safe norms, the scale of a row.
// Sums are kept as float2(hi, lo): an unevaluated pair, good to about 45 bits, so that no length adds to the error of what enters it.
#pragma once
#include "chunk.h"

constant uint kOutputWeight = 0, kOutputNorm = 1, kOutputScale = 2;
constant uint kEpsUnset = 0, kEpsClamp = 1, kEpsZero = 2;

// What a norm means for its row: how g is stored and what eps asks for. Same layout as NormRule in norm_plan.h.
struct NormRule {
  uint gType;    // core::DType
  uint epsMode;  // unset: a zero row gives 0; clamp: n = max(n, eps); zero: a zero row gives NaN
  float eps;
  uint output;
};

// A thread's place among the threads that share one threadgroup.
struct Place {
  uint thread_index, threads, simdgroup, lane, simdgroups;
};
#define PLACE_ARGUMENTS                                                                           \
  uint thread_index [[thread_index_in_threadgroup]], uint threads [[threads_per_threadgroup]],    \
      uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]], \
      uint simdgroups [[simdgroups_per_threadgroup]]
#define PLACE {thread_index, threads, simdgroup, lane, simdgroups}

// a + b exactly, as hi + lo.
inline float2 two_sum(float a, float b) {
  const float hi = a + b;
  const float t = hi - a;
  return float2(hi, (a - (hi - t)) + (b - t));
}
inline float2 add_sums(float2 a, float2 b) {
  const float2 s = two_sum(a.x, b.x);
  return float2(s.x, s.y + (a.y + b.y));
}
// Over aligned groups of `lanes` neighbours (a power of two); every lane of a group gets the same bits.
inline float2 simd_add(float2 s, uint lanes) {
  for (ushort step = ushort(lanes / 2); step > 0; step >>= 1) {
    s = add_sums(s, float2(simd_shuffle_xor(s.x, step), simd_shuffle_xor(s.y, step)));
  }
  return s;
}
inline uint simd_peak(uint bits, uint lanes) {
  for (ushort step = ushort(lanes / 2); step > 0; step >>= 1) bits = max(bits, simd_shuffle_xor(bits, step));
  return bits;
}
// Over the whole threadgroup. `part` holds one value a simdgroup; a barrier must stand between two uses of it.
inline float2 group_add(float2 s, threadgroup float2* part, thread const Place& at) {
  s = simd_add(s, 32);
  if (at.lane == 0) part[at.simdgroup] = s;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_add(at.lane < at.simdgroups ? float2(part[at.lane]) : float2(0.0f), 32);
}
inline uint group_peak(uint bits, threadgroup float2* part, thread const Place& at) {
  bits = simd_max(bits);
  if (at.lane == 0) part[at.simdgroup] = float2(as_type<float>(bits), 0.0f);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_max(at.lane < at.simdgroups ? as_type<uint>(part[at.lane].x) : 0u);
}

// Chunks are loaded, opened, reduced, opened again and stored. Left alone, compilers keep the floats of opened halves and every chunk's
// address from the first half to the second, which doubles the registers; a number that they cannot know to be 0, `zero` below, makes
// them find both again.
inline uint hidden_zero(constant NormRule& rule) {
  return rule.output >> 8;
}
inline uint4 reopened(uint4 r, uint zero) {
  return r ^ zero;
}
template <typename R>
inline R reopened(R r, uint) {
  return r;
}

// Running compensated sums of products over chunks. Before they enter one, a chunk's products of the half types, exact in float, are added
// up plainly, within 3 roundings; of float32 two are, which is within 2 roundings, one of a norm. With Rests the rounding of every float32
// product is added up too, and none is added plainly: gradients are differences of what such sums lead to.
template <typename T, int W, bool Rests = false>
struct Products {
  enum : int { kRests = Rests && sizeof(T) == 4 ? 1 : 0, kPairs = sizeof(T) == 2 || W == 1 ? 1 : kRests ? W : W / 2 };
  float hi[kPairs];
  float lo[kPairs];

  void clear() {
#pragma unroll
    for (int i = 0; i < kPairs; i++) hi[i] = lo[i] = 0.0f;
  }
  void add(thread const float* a, thread const float* b) {
    float p[W];
    if (kRests || W == 1) {
#pragma unroll
      for (int i = 0; i < W; i++) {
        p[i] = a[i] * b[i];
        if (kRests) lo[i % kPairs] += fma(a[i], b[i], -p[i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < W / 2; i++) p[i] = fma(a[i + W / 2], b[i + W / 2], a[i] * b[i]);
    }
#pragma unroll
    for (int count = W / 2; count > kPairs; count /= 2) {
#pragma unroll
      for (int i = 0; i < count / 2; i++) p[i] += p[i + count / 2];
    }
#pragma unroll
    for (int i = 0; i < kPairs; i++) {
      const float2 s = two_sum(hi[i], p[i]);
      hi[i] = s.x;
      lo[i] += s.y;
    }
  }
  float2 total() const {
    float2 sum = float2(hi[0], lo[0]);
#pragma unroll
    for (int i = 1; i < kPairs; i++) sum = add_sums(sum, float2(hi[i], lo[i]));
    return sum;
  }
};

// Bits of the largest magnitude: ordered like the values, and not flushed when subnormal.
template <int W>
inline uint peak_bits(thread const float* x) {
  uint bits = 0;
#pragma unroll
  for (int i = 0; i < W; i++) bits = max(bits, as_type<uint>(x[i]) & 0x7fffffffu);
  return bits;
}

// 2^e for -126 <= e <= 127.
inline float pow2(int e) {
  return as_type<float>(uint(e + 127) << 23);
}
inline int exponent_of(uint bits) {
  return int((bits >> 23) & 0xffu) - 127;
}
// Power of two that brings a magnitude near 1 (as near as one normal factor can).
inline int rescale(uint peak) {
  return clamp(-exponent_of(peak), -126, 126);
}

// A sum of squares far from both ends of float's range, so that nothing in it over- or underflowed.
inline bool in_range(float sum) {
  return sum >= 8.67361738e-19f && sum <= 1.26765060e30f;
}

// sqrt(hi + lo), correctly rounded but for rare ties.
inline float sqrt_sum(float2 s) {
  const float root = precise::sqrt(s.x);
  if (!(s.x > 0.0f) || isinf(s.x)) return root;
  return root + 0.5f * (fma(-root, root, s.x) + s.y) / root;
}

// A norm as n * 2^-k; `zero` marks a row whose every element is zero.
struct Norm {
  float n;
  int k;
  bool zero;
  float whole() const { return n * pow2(-k); }
};

// w = ((v * before) * s) * after; where `plain`, both factors are 1 and no v * s is NaN.
struct RowScale {
  float s, before, after;
  bool plain;
  float apply(float v) const { return (v * before * s) * after; }
};

inline bool is_normal(float x) {
  return fabs(x) >= 1.17549435e-38f && fabs(x) <= 3.40282347e38f;
}

// For a row of norm n.
inline RowScale plain_scale(float s, float n) {
  RowScale r = {s, 1.0f, 1.0f, !(isnan(s) || isinf(s) || isnan(n) || isinf(n))};
  return r;
}

// True where eps decides the norm (NaN passes through).
inline bool eps_clamps(Norm norm, constant NormRule& rule) {
  return rule.epsMode == kEpsClamp && norm.whole() < rule.eps;
}
// True where a row has no direction and its results are 0. With eps 0 a row of true zeros goes on to give NaN.
inline bool vanishes(Norm norm, constant NormRule& rule) {
  return norm.n == 0.0f && rule.epsMode != kEpsClamp && (rule.epsMode == kEpsUnset || !norm.zero);
}

// g / n, and where that or n leaves the normal range, v and n scaled together.
inline RowScale row_scale(Norm norm, float g, constant NormRule& rule) {
  if (eps_clamps(norm, rule)) return plain_scale(g / rule.eps, norm.n);
  if (vanishes(norm, rule)) return plain_scale(0.0f, norm.n);
  const float whole = norm.whole();
  const float s = g / whole;
  if ((is_normal(s) && is_normal(whole)) || !is_normal(norm.n) || g == 0.0f || isinf(g) || isnan(g)) return plain_scale(s, norm.n);
  const int up = norm.k == 0 ? rescale(as_type<uint>(norm.n)) : 0;
  const int ug = rescale(as_type<uint>(fabs(g)));
  RowScale r = {(g * pow2(ug)) / (norm.n * pow2(up)), pow2(norm.k + up), pow2(-ug), false};
  return r;
}

// What a row's norm leads to: the scale of its elements, or in `s` alone the value that norm and scale operations store.
struct NormFinish {
  uint gain;  // as it is stored
  constant NormRule* rule;

  RowScale of(Norm norm) const {
    if (rule->output == kOutputNorm) return plain_scale(norm.whole(), norm.n);
    const RowScale r = row_scale(norm, widen_bits(gain, rule->gType), *rule);
    return rule->output == kOutputScale ? plain_scale((r.s * r.after) * r.before, norm.n) : r;
  }
};
inline NormFinish finish_of(device const uchar* g, ulong i, constant NormRule& rule) {
  const NormFinish finish = {rule.output == kOutputNorm ? 0u : load_bits(g, rule.gType, i), &rule};
  return finish;
}
// A scale on its way through threadgroup memory; w < 0 says that there is none yet.
inline float4 pack_scale(RowScale r) {
  return float4(r.s, r.before, r.after, r.plain ? 1.0f : 0.0f);
}
inline RowScale unpack_scale(float4 p) {
  const RowScale r = {p.x, p.y, p.z, p.w > 0.0f};
  return r;
}

// A sum of squares of elements that were multiplied by 2^k; k is kZeroRow where all of them are zero.
struct RangedSum {
  float2 sum;
  int k;
};
constant int kZeroRow = 127;

inline Norm norm_of(RangedSum s) {
  const bool zero = s.k == kZeroRow;
  Norm norm = {sqrt_sum(s.sum), zero ? 0 : s.k, zero};
  return norm;
}
