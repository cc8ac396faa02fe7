// Neighbouring elements of any dtype as they lie in memory, and as floats.
#pragma once
#include "common.h"

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
