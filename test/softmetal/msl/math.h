// Math, common, relational and integer functions, for scalars and vectors.
#pragma once
#include "types.h"

namespace metal {
namespace detail {
// Maps a float function over the types it takes: half goes through float and rounds once.
#define SM_UNARY_AS(name, expression)              \
  inline float name(float x) {                     \
    return expression;                             \
  }                                                \
  inline half name(half h) {                       \
    const float x = (float)h;                      \
    return (half)(expression);                     \
  }                                                \
  template <class T, int N>                        \
  vec<T, N> name(vec<T, N> v) {                    \
    for (int i = 0; i < N; i++) v[i] = name(v[i]); \
    return v;                                      \
  }
#define SM_BINARY_AS(name, expression)                         \
  inline float name(float x, float y) {                        \
    return expression;                                         \
  }                                                            \
  inline half name(half h, half k) {                           \
    const float x = (float)h, y = (float)k;                    \
    return (half)(expression);                                 \
  }                                                            \
  template <class T, int N>                                    \
  vec<T, N> name(vec<T, N> v, vec<T, N> w) {                   \
    for (int i = 0; i < N; i++) v[i] = name((T)v[i], (T)w[i]); \
    return v;                                                  \
  }
}  // namespace detail

#define SM_TRANSCENDENTALS                      \
  SM_UNARY_AS(exp, __builtin_expf(x))           \
  SM_UNARY_AS(exp2, __builtin_exp2f(x))         \
  SM_UNARY_AS(exp10, __builtin_exp10f(x))       \
  SM_UNARY_AS(log, __builtin_logf(x))           \
  SM_UNARY_AS(log2, __builtin_log2f(x))         \
  SM_UNARY_AS(log10, __builtin_log10f(x))       \
  SM_UNARY_AS(sin, __builtin_sinf(x))           \
  SM_UNARY_AS(cos, __builtin_cosf(x))           \
  SM_UNARY_AS(tan, __builtin_tanf(x))           \
  SM_UNARY_AS(sinpi, __builtin_sinf(x* M_PI_F)) \
  SM_UNARY_AS(cospi, __builtin_cosf(x* M_PI_F)) \
  SM_UNARY_AS(asin, __builtin_asinf(x))         \
  SM_UNARY_AS(acos, __builtin_acosf(x))         \
  SM_UNARY_AS(atan, __builtin_atanf(x))         \
  SM_UNARY_AS(sinh, __builtin_sinhf(x))         \
  SM_UNARY_AS(cosh, __builtin_coshf(x))         \
  SM_UNARY_AS(tanh, __builtin_tanhf(x))         \
  SM_UNARY_AS(sqrt, __builtin_sqrtf(x))         \
  SM_UNARY_AS(rsqrt, 1.0f / __builtin_sqrtf(x)) \
  SM_UNARY_AS(floor, __builtin_floorf(x))       \
  SM_UNARY_AS(ceil, __builtin_ceilf(x))         \
  SM_UNARY_AS(round, __builtin_roundf(x))       \
  SM_UNARY_AS(rint, __builtin_rintf(x))         \
  SM_UNARY_AS(trunc, __builtin_truncf(x))       \
  SM_UNARY_AS(fabs, __builtin_fabsf(x))         \
  SM_BINARY_AS(pow, __builtin_powf(x, y))       \
  SM_BINARY_AS(powr, __builtin_powf(x, y))      \
  SM_BINARY_AS(atan2, __builtin_atan2f(x, y))   \
  SM_BINARY_AS(fmod, __builtin_fmodf(x, y))     \
  SM_BINARY_AS(fmin, __builtin_fminf(x, y))     \
  SM_BINARY_AS(fmax, __builtin_fmaxf(x, y))     \
  SM_BINARY_AS(copysign, __builtin_copysignf(x, y))

SM_TRANSCENDENTALS
namespace precise {
SM_TRANSCENDENTALS
}
namespace fast {
SM_TRANSCENDENTALS
}
#undef SM_TRANSCENDENTALS

inline float ldexp(float x, int k) {
  return __builtin_ldexpf(x, k);
}
inline half ldexp(half x, int k) {
  return (half)__builtin_ldexpf((float)x, k);
}
inline float frexp(float x, thread int& exponent) {
  return __builtin_frexpf(x, &exponent);
}
inline int ilogb(float x) {
  return __builtin_ilogbf(x);
}
inline float divide(float x, float y) {
  return x / y;
}
namespace precise {
inline float divide(float x, float y) {
  return x / y;
}
}  // namespace precise
namespace fast {
inline float divide(float x, float y) {
  return x / y;
}
}  // namespace fast

// One rounding, in every math mode.
inline float fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
inline half fma(half a, half b, half c) {
  return (half)__builtin_fma((double)a, (double)b, (double)c);
}
template <class T, int N>
vec<T, N> fma(vec<T, N> a, vec<T, N> b, vec<T, N> c) {
  for (int i = 0; i < N; i++) a[i] = fma((T)a[i], (T)b[i], (T)c[i]);
  return a;
}
namespace precise {
using metal::fma;
}
namespace fast {
using metal::fma;
}

#define SM_SCALARS(apply) apply(int) apply(uint) apply(short) apply(ushort) apply(char) apply(uchar) apply(long) apply(ulong)
#define SM_INTEGER_COMMON(T)           \
  inline T min(T a, T b) {             \
    return b < a ? b : a;              \
  }                                    \
  inline T max(T a, T b) {             \
    return a < b ? b : a;              \
  }                                    \
  inline T abs(T a) {                  \
    return a < (T)0 ? (T) - a : a;     \
  }                                    \
  inline T clamp(T x, T low, T high) { \
    return min(max(x, low), high);     \
  }
SM_SCALARS(SM_INTEGER_COMMON)
#undef SM_INTEGER_COMMON
#define SM_FLOAT_COMMON(T)                           \
  inline T min(T a, T b) {                           \
    return fmin(a, b);                               \
  }                                                  \
  inline T max(T a, T b) {                           \
    return fmax(a, b);                               \
  }                                                  \
  inline T abs(T a) {                                \
    return fabs(a);                                  \
  }                                                  \
  inline T clamp(T x, T low, T high) {               \
    return fmin(fmax(x, low), high);                 \
  }                                                  \
  inline T saturate(T x) {                           \
    return clamp(x, (T)0, (T)1);                     \
  }                                                  \
  inline T mix(T a, T b, T t) {                      \
    return a + (b - a) * t;                          \
  }                                                  \
  inline T fract(T x) {                              \
    return x - floor(x);                             \
  }                                                  \
  inline T step(T edge, T x) {                       \
    return x < edge ? (T)0 : (T)1;                   \
  }                                                  \
  inline T sign(T x) {                               \
    return x > (T)0 ? (T)1 : x < (T)0 ? (T) - 1 : x; \
  }                                                  \
  inline bool isnan(T x) {                           \
    return __builtin_isnan((float)x);                \
  }                                                  \
  inline bool isinf(T x) {                           \
    return __builtin_isinf((float)x);                \
  }                                                  \
  inline bool isfinite(T x) {                        \
    return __builtin_isfinite((float)x);             \
  }                                                  \
  inline bool isnormal(T x) {                        \
    return __builtin_isnormal((float)x);             \
  }                                                  \
  inline bool signbit(T x) {                         \
    return __builtin_signbit((float)x);              \
  }
SM_FLOAT_COMMON(float)
SM_FLOAT_COMMON(half)
#undef SM_FLOAT_COMMON
inline bfloat min(bfloat a, bfloat b) {
  return (bfloat)fmin((float)a, (float)b);
}
inline bfloat max(bfloat a, bfloat b) {
  return (bfloat)fmax((float)a, (float)b);
}

template <class T, int N>
vec<T, N> min(vec<T, N> a, vec<T, N> b) {
  for (int i = 0; i < N; i++) a[i] = min((T)a[i], (T)b[i]);
  return a;
}
template <class T, int N>
vec<T, N> max(vec<T, N> a, vec<T, N> b) {
  for (int i = 0; i < N; i++) a[i] = max((T)a[i], (T)b[i]);
  return a;
}
template <class T, int N>
vec<T, N> abs(vec<T, N> a) {
  for (int i = 0; i < N; i++) a[i] = abs((T)a[i]);
  return a;
}
template <class T, int N>
vec<T, N> clamp(vec<T, N> x, vec<T, N> low, vec<T, N> high) {
  return min(max(x, low), high);
}
template <class T, int N>
vec<T, N> clamp(vec<T, N> x, T low, T high) {
  return min(max(x, (vec<T, N>)low), (vec<T, N>)high);
}
template <class T, int N>
vec<T, N> mix(vec<T, N> a, vec<T, N> b, vec<T, N> t) {
  return a + (b - a) * t;
}
template <class T, int N>
vec<bool, N> isnan(vec<T, N> v) {
  vec<bool, N> r;
  for (int i = 0; i < N; i++) r[i] = isnan((T)v[i]);
  return r;
}
template <class T, int N>
vec<bool, N> isfinite(vec<T, N> v) {
  vec<bool, N> r;
  for (int i = 0; i < N; i++) r[i] = isfinite((T)v[i]);
  return r;
}

template <class T, int N>
T dot(vec<T, N> a, vec<T, N> b) {
  T sum = a[0] * b[0];
  for (int i = 1; i < N; i++) sum += a[i] * b[i];
  return sum;
}
template <class T, int N>
T length_squared(vec<T, N> a) {
  return dot(a, a);
}
template <class T, int N>
T length(vec<T, N> a) {
  return sqrt(dot(a, a));
}

template <class T>
T select(T a, T b, bool chooseB) {
  return chooseB ? b : a;
}
// The condition is a vector of bool, or of the integers that comparing two vectors gives.
template <class T, int N, class C>
vec<T, N> select(vec<T, N> a, vec<T, N> b, vec<C, N> chooseB) {
  for (int i = 0; i < N; i++)
    if (chooseB[i]) a[i] = b[i];
  return a;
}
inline bool any(bool b) {
  return b;
}
inline bool all(bool b) {
  return b;
}
template <class C, int N>
bool any(vec<C, N> v) {
  for (int i = 0; i < N; i++)
    if (v[i]) return true;
  return false;
}
template <class C, int N>
bool all(vec<C, N> v) {
  for (int i = 0; i < N; i++)
    if (!v[i]) return false;
  return true;
}

inline uint popcount(uint x) {
  return __builtin_popcount(x);
}
inline int popcount(int x) {
  return __builtin_popcount(x);
}
inline ulong popcount(ulong x) {
  return __builtin_popcountl(x);
}
inline uint clz(uint x) {
  return x ? __builtin_clz(x) : 32;
}
inline int clz(int x) {
  return x ? __builtin_clz(x) : 32;
}
inline ulong clz(ulong x) {
  return x ? __builtin_clzl(x) : 64;
}
inline uint ctz(uint x) {
  return x ? __builtin_ctz(x) : 32;
}
inline int ctz(int x) {
  return x ? __builtin_ctz(x) : 32;
}
inline ulong ctz(ulong x) {
  return x ? __builtin_ctzl(x) : 64;
}
inline uint mulhi(uint a, uint b) {
  return (uint)((ulong)a * b >> 32);
}
inline int mulhi(int a, int b) {
  return (int)((long)a * b >> 32);
}
inline uint rotate(uint x, uint n) {
  return x << (n & 31) | x >> (-n & 31);
}
inline uint extract_bits(uint x, uint offset, uint bits) {
  return bits == 0 ? 0 : (x >> offset) & (0xffffffffu >> (32 - bits));
}
inline uint reverse_bits(uint x) {
  return __builtin_bitreverse32(x);
}
#undef SM_SCALARS
#undef SM_UNARY_AS
#undef SM_BINARY_AS
}  // namespace metal
