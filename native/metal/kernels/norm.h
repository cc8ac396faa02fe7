// Norms of rows, shared by every weight norm kernel: compensated sums of squares, safe norms, the scale of a row.
// Sums are kept as float2(hi, lo): an unevaluated pair, good to about 45 bits, so a norm is within 1 ulp at any length.
#pragma once
#include "common.h"

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

// Two floats rounded to bfloat16 side by side, to nearest even and without a branch; NaN stays a quiet NaN.
inline uint bf16_rounded(float x) {
  const uint bits = as_type<uint>(x);
  return isnan(x) ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
}
inline uint bf16_pair(float low, float high) {
  return (bf16_rounded(low) >> 16) | (bf16_rounded(high) & 0xffff0000u);
}
// The same for floats that are not NaN, in half the instructions.
inline uint bf16_numbers(float low, float high) {
  const uint a = as_type<uint>(low), b = as_type<uint>(high);
  return ((a + 0x7fffu + ((a >> 16) & 1u)) >> 16) | ((b + 0x7fffu + ((b >> 16) & 1u)) & 0xffff0000u);
}

// W neighbouring elements as they lie in memory: 8 or 16 bytes, or one element where rows are not so aligned.
// close_number() is close() for values that are not NaN.
template <typename T, int W>
struct Chunk {
  typedef T raw;
  static void open(T r, thread float* x) { x[0] = widen(r); }
  static T close(thread const float* x) { return narrow<T>(x[0]); }
  static T close_number(thread const float* x) { return narrow<T>(x[0]); }
};
template <>
struct Chunk<float, 4> {
  typedef float4 raw;
  static void open(float4 r, thread float* x) { x[0] = r.x, x[1] = r.y, x[2] = r.z, x[3] = r.w; }
  static float4 close(thread const float* x) { return float4(x[0], x[1], x[2], x[3]); }
  static float4 close_number(thread const float* x) { return close(x); }
};
template <>
struct Chunk<half, 8> {
  typedef uint4 raw;
  static void open(uint4 r, thread float* x) {
    const half4 a = as_type<half4>(r.xy), b = as_type<half4>(r.zw);
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
  }
  static uint4 close(thread const float* x) {
    const half4 a = half4(float4(x[0], x[1], x[2], x[3])), b = half4(float4(x[4], x[5], x[6], x[7]));
    return uint4(as_type<uint2>(a), as_type<uint2>(b));
  }
  static uint4 close_number(thread const float* x) { return close(x); }
};
template <>
struct Chunk<half, 4> {
  typedef uint2 raw;
  static void open(uint2 r, thread float* x) {
    const half4 a = as_type<half4>(r);
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
  }
  static uint2 close(thread const float* x) { return as_type<uint2>(half4(float4(x[0], x[1], x[2], x[3]))); }
  static uint2 close_number(thread const float* x) { return close(x); }
};
template <>
struct Chunk<bf16, 8> {
  typedef uint4 raw;
  static void open(uint4 r, thread float* x) {
    const float4 even = as_type<float4>(r << 16), odd = as_type<float4>(r & 0xffff0000u);
    x[0] = even.x, x[1] = odd.x, x[2] = even.y, x[3] = odd.y, x[4] = even.z, x[5] = odd.z, x[6] = even.w, x[7] = odd.w;
  }
  static uint4 close(thread const float* x) {
    return uint4(bf16_pair(x[0], x[1]), bf16_pair(x[2], x[3]), bf16_pair(x[4], x[5]), bf16_pair(x[6], x[7]));
  }
  static uint4 close_number(thread const float* x) {
    return uint4(bf16_numbers(x[0], x[1]), bf16_numbers(x[2], x[3]), bf16_numbers(x[4], x[5]), bf16_numbers(x[6], x[7]));
  }
};
template <>
struct Chunk<bf16, 4> {
  typedef uint2 raw;
  static void open(uint2 r, thread float* x) {
    const float2 even = as_type<float2>(r << 16), odd = as_type<float2>(r & 0xffff0000u);
    x[0] = even.x, x[1] = odd.x, x[2] = even.y, x[3] = odd.y;
  }
  static uint2 close(thread const float* x) { return uint2(bf16_pair(x[0], x[1]), bf16_pair(x[2], x[3])); }
  static uint2 close_number(thread const float* x) { return uint2(bf16_numbers(x[0], x[1]), bf16_numbers(x[2], x[3])); }
};

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
  float gain;
  constant NormRule* rule;

  RowScale of(Norm norm) const {
    if (rule->output == kOutputNorm) return plain_scale(norm.whole(), norm.n);
    const RowScale r = row_scale(norm, gain, *rule);
    return rule->output == kOutputScale ? plain_scale((r.s * r.after) * r.before, norm.n) : r;
  }
};
inline NormFinish finish_of(device const uchar* g, ulong i, constant NormRule& rule) {
  const NormFinish finish = {rule.output == kOutputNorm ? 0.0f : load_any(g, rule.gType, i), &rule};
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

template <typename T, int W>
inline typename Chunk<T, W>::raw scaled_plain(typename Chunk<T, W>::raw c, float s) {
  float x[W];
  Chunk<T, W>::open(c, x);
#pragma unroll
  for (int i = 0; i < W; i++) x[i] *= s;
  return Chunk<T, W>::close_number(x);
}
template <typename T, int W>
inline typename Chunk<T, W>::raw scaled(typename Chunk<T, W>::raw c, RowScale scale) {
  float x[W];
  Chunk<T, W>::open(c, x);
#pragma unroll
  for (int i = 0; i < W; i++) x[i] = scale.apply(x[i]);
  return Chunk<T, W>::close(x);
}
// Chunks c[k] times s to target[first + k step] where that is below count.
template <typename T, int W, int K>
inline void store_plain(device typename Chunk<T, W>::raw* target, thread const typename Chunk<T, W>::raw* c, uint first, uint step,
                        uint count, float s) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (first + k * step < count) target[first + k * step] = scaled_plain<T, W>(c[k], s);
  }
}

// One row in memory: this thread's chunks are first, first + step, ... below count; U of them in flight. Where most rows end within a
// block of U, as Ragged says, what is past the end is not added up.
template <typename T, int W, int U, bool Ragged = false>
struct LoopedRow {
  typedef typename Chunk<T, W>::raw raw;
  device const T* v;
  uint first, step, count;

  raw at(uint i) const { return ((device const raw*)v)[i]; }
  // Chunks base, base + step, ...; zeros beyond the end.
  void load(uint base, thread raw* c) const {
#pragma unroll
    for (int k = 0; k < U; k++) {
      c[k] = raw(0);
      if (base + k * step < count) c[k] = at(base + k * step);
    }
  }
  float2 squares(float scale) const {
    Products<T, W> sum;
    sum.clear();
#pragma unroll 1
    for (uint base = first; base < count; base += U * step) {
      raw c[U];
      load(base, c);
#pragma unroll
      for (int k = 0; k < U; k++) {
        if (Ragged && base + k * step >= count) break;
        float x[W];
        Chunk<T, W>::open(c[k], x);
#pragma unroll
        for (int i = 0; i < W; i++) x[i] *= scale;
        sum.add(x, x);
      }
    }
    return sum.total();
  }
  float2 squares() const { return squares(1.0f); }
  void load() const {}
  uint peak() const {
    uint bits = 0;
#pragma unroll 1
    for (uint i = first; i < count; i += step) {
      float x[W];
      Chunk<T, W>::open(at(i), x);
      bits = max(bits, peak_bits<W>(x));
    }
    return bits;
  }
  // Where the last U chunks of this thread begin.
  uint last() const { return first < count ? (count - 1 - first) / (U * step) * (U * step) + first : first; }
  // Backwards, so that it meets what the sums left in the caches. `c` holds the chunks at last().
  void store(device T* w, RowScale scale, thread raw* c) const {
    if (!scale.plain) return store_any(w, scale);
    for (uint base = last();; base -= U * step) {
      store_plain<T, W, U>((device raw*)w, c, base, step, count, scale.s);
      if (base < U * step) break;
      load(base - U * step, c);
    }
  }
  void store_any(device T* w, RowScale scale) const {
#pragma unroll 1
    for (uint i = first; i < count; i += step) ((device raw*)w)[i] = scaled<T, W>(at(i), scale);
  }
};

// One row of at most K chunks a thread, kept in registers. What doubtful sums and scales ask for besides is read from memory, and the
// chunks again after it, so that rare paths do not decide how many registers the kernel takes.
template <typename T, int W, int K>
struct CachedRow {
  typename Chunk<T, W>::raw chunks[K];
  LoopedRow<T, W, 1> memory;

  void load(device const T* v, uint first, uint step, uint count) {
    memory.v = v;
    memory.first = first;
    memory.step = step;
    memory.count = count;
    load();
  }
  void load() {
    const LoopedRow<T, W, K> all = {memory.v, memory.first, memory.step, memory.count};
    all.load(memory.first, chunks);
  }
  float2 squares() const {
    Products<T, W> sum;
    sum.clear();
#pragma unroll
    for (int k = 0; k < K; k++) {
      float x[W];
      Chunk<T, W>::open(chunks[k], x);
      sum.add(x, x);
    }
    return sum.total();
  }
  float2 squares(float scale) const { return memory.squares(scale); }
  uint peak() const { return memory.peak(); }
  void store(device T* w, RowScale scale, uint zero) {
    if (!scale.plain) return memory.store_any(w, scale);
#pragma unroll
    for (int k = 0; k < K; k++) chunks[k] = reopened(chunks[k], zero);
    store_plain<T, W, K>((device typename Chunk<T, W>::raw*)w, chunks, memory.first + zero, memory.step, memory.count, scale.s);
  }
};

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

// The squares of a row that `lanes` neighbouring lanes share. Where the sum is doubtful, a second look at the row scaled
// by a power of two. Every lane of the simdgroup must come here; `valid` is false for lanes that have no row.
template <typename Row>
inline RangedSum simd_squares(thread Row& row, uint lanes, bool valid) {
  RangedSum s = {simd_add(row.squares(), lanes), 0};
  const bool doubtful = valid && !in_range(s.sum.x);
  if (simd_any(doubtful)) {
    const uint peak = simd_peak(row.peak(), lanes);
    const float2 again = simd_add(row.squares(pow2(rescale(peak))), lanes);
    if (doubtful) {
      s.sum = again;
      s.k = peak == 0 ? kZeroRow : rescale(peak);
    }
    row.load();
  }
  return s;
}
// The same for a row that a whole threadgroup shares.
template <typename Row>
inline RangedSum group_squares(thread Row& row, threadgroup float2* part, thread const Place& at) {
  RangedSum s = {group_add(row.squares(), part, at), 0};
  if (!in_range(s.sum.x)) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint peak = group_peak(row.peak(), part, at);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    s.sum = group_add(row.squares(pow2(rescale(peak))), part, at);
    s.k = peak == 0 ? kZeroRow : rescale(peak);
    row.load();
  }
  return s;
}
// The scale of such a row: every thread finishes it for itself, which is sooner than waiting for one that does.
template <typename Row>
inline RowScale group_scale(thread Row& row, NormFinish finish, threadgroup float2* part, thread const Place& at) {
  return finish.of(norm_of(group_squares(row, part, at)));
}
