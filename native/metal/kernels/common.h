// What every kernel file starts from: element types, activations, instantiation. Included by name; the build inlines it.
#pragma once
#include <metal_stdlib>
using namespace metal;

// bfloat16 is handled as its bits: MSL has a bfloat type only from macOS 14 on.
typedef ushort bf16;

inline float widen(float x) {
  return x;
}
inline float widen(half x) {
  return float(x);
}
inline float widen(bf16 x) {
  return as_type<float>(uint(x) << 16);
}
inline float4 widen(ushort4 x) {
  return as_type<float4>(uint4(x) << 16);
}

// Round to nearest even in integers; NaN stays a quiet NaN.
inline bf16 round_bf16(float x) {
  const uint bits = as_type<uint>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16((bits >> 16) | 0x40u);
  return bf16((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <typename T>
inline T narrow(float x);
template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline half narrow<half>(float x) {
  return half(x);
}
template <>
inline bf16 narrow<bf16>(float x) {
  return round_bf16(x);
}

// Four neighbours, 4-element aligned.
inline float4 load4(device const float* p) {
  return *(device const float4*)p;
}
inline float4 load4(device const half* p) {
  return float4(*(device const half4*)p);
}
inline float4 load4(device const bf16* p) {
  return widen(*(device const ushort4*)p);
}
inline void store4(device float* p, float4 x) {
  *(device float4*)p = x;
}
inline void store4(device half* p, float4 x) {
  *(device half4*)p = half4(x);
}
inline void store4(device bf16* p, float4 x) {
  *(device ushort4*)p = ushort4(round_bf16(x.x), round_bf16(x.y), round_bf16(x.z), round_bf16(x.w));
}

// core::DType's numbering, for arguments whose dtype is a function constant.
constant uint kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2;
// As it is stored: what waits for the value is not in a branch, so that a thread can load other things after it.
inline uint load_bits(device const uchar* p, uint dtype, ulong i) {
  return dtype == kFloat32 ? ((device const uint*)p)[i] : ((device const ushort*)p)[i];
}
inline float widen_bits(uint bits, uint dtype) {
  if (dtype == kFloat32) return as_type<float>(bits);
  if (dtype == kFloat16) return float(as_type<half>(ushort(bits)));
  return widen(bf16(bits));
}
inline float load_any(device const uchar* p, uint dtype, ulong i) {
  return widen_bits(load_bits(p, dtype, i), dtype);
}

// core::Act's numbering.
constant uint kActNone = 0, kActLeakyRelu = 1, kActRelu = 2, kActElu = 3, kActGelu = 4, kActSilu = 5, kActSigmoid = 6, kActTanh = 7,
              kActSnake = 8, kActExp = 9, kActSin = 10, kActPow = 11;

// exp(x) - 1 without cancellation near 0; a degree 7 fit on [-0.5, 0.5].
inline float exp_minus_one(float x) {
  if (fabs(x) > 0.5f) return precise::exp(x) - 1.0f;
  float p = 0.0001994487444f;
  p = fma(p, x, 0.001398218605f);
  p = fma(p, x, 0.008333236134f);
  p = fma(p, x, 0.04166579123f);
  p = fma(p, x, 0.166666668f);
  p = fma(p, x, 0.5000000122f);
  return fma(x * x, p, x);
}

// x times the normal distribution's Phi(x), from erfc(t) = exp(-t^2) W(q)/(1 + 2t), t = |x|/sqrt(2), q = (t-3)/(t+3),
// W fitted to 8e-9, so the far negative side keeps its relative accuracy.
inline float gelu(float x) {
  const float a = min(fabs(x), 20.0f);
  const float t = a * 0.7071067812f;
  const float q = (t - 3.0f) / (t + 3.0f);
  float w = -0.0002430564143f;
  w = fma(w, q, -0.0007131229607f);
  w = fma(w, q, 0.002038351803f);
  w = fma(w, q, 0.002538889593f);
  w = fma(w, q, -0.02382728694f);
  w = fma(w, q, 0.06829703072f);
  w = fma(w, q, -0.1192646702f);
  w = fma(w, q, 0.1296469593f);
  w = fma(w, q, -0.04756281503f);
  w = fma(w, q, -0.1356211734f);
  w = fma(w, q, 1.253008063f);
  const float s = 0.5f * a * a, rest = fma(0.5f * a, a, -s);
  const float below = 0.5f * precise::exp(-s) * (1.0f - rest) * w / fma(2.0f, t, 1.0f);
  return x < 0.0f ? x * below : x * (1.0f - below);
}

// Never forms exp of a large positive number.
inline float sigmoid(float x) {
  const float e = precise::exp(-fabs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// torch's pow: a negative base has a value where the exponent is whole.
inline float power(float x, float exponent) {
  if (exponent == 2.0f) return x * x;
  const float magnitude = precise::pow(fabs(x), exponent);
  if (!(x < 0.0f)) return magnitude;
  if (isinf(exponent)) return magnitude;
  if (exponent != floor(exponent)) return isinf(x) ? magnitude : NAN;
  const float half_way = 0.5f * exponent;
  return half_way == floor(half_way) ? magnitude : -magnitude;
}

// The alpha of a snake channel as activate() wants it.
inline float snake_alpha(float stored, bool log_scale) {
  return log_scale ? precise::exp(stored) : stored;
}

// `kind` is a function constant at every call site, so one branch remains. `param`: slope, alpha of ELU or exponent;
// `alpha`: snake_alpha() of the channel.
inline float activate(uint kind, float x, float param, float alpha) {
  if (kind == kActLeakyRelu) return x < 0.0f ? x * param : x;
  if (kind == kActRelu) return x < 0.0f ? 0.0f : x;
  if (kind == kActElu) return x < 0.0f ? param * exp_minus_one(x) : x;
  if (kind == kActGelu) return gelu(x);
  if (kind == kActSilu) return x * sigmoid(x);
  if (kind == kActSigmoid) return sigmoid(x);
  if (kind == kActTanh) return precise::tanh(x);
  if (kind == kActSnake) {
    const float wave = precise::sin(alpha * x);
    return x + wave * wave / (alpha + 1e-9f);
  }
  if (kind == kActExp) return precise::exp(x);
  if (kind == kActSin) return precise::sin(x);
  if (kind == kActPow) return power(x, param);
  return x;
}

inline float4 activate(uint kind, float4 x, float param, float alpha) {
  return float4(activate(kind, x.x, param, alpha), activate(kind, x.y, param, alpha), activate(kind, x.z, param, alpha),
                activate(kind, x.w, param, alpha));
}

// kernel<T> as name_float32, name_float16, name_bfloat16.
#define INSTANTIATE(name)                                                                \
  template [[host_name(#name "_float32")]] [[kernel]] decltype(name<float>) name<float>; \
  template [[host_name(#name "_float16")]] [[kernel]] decltype(name<half>) name<half>;   \
  template [[host_name(#name "_bfloat16")]] [[kernel]] decltype(name<bf16>) name<bf16>;
