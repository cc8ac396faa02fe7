// Scalar and vector types of the Metal Shading Language on clang's ext_vector types, and their constructors.
#pragma once
#include "abi.h"

// Address spaces are not modelled by types: a separate pass checks them.
#define device
#define constant const
#define thread
#define threadgroup
#define SM_THREADGROUP_VARIABLE static __attribute__((section("sm_threadgroup")))
#define SM_UNCHECKED __attribute__((no_sanitize("thread")))
// Keeps the caller's address: one for each call in the source.
#define SM_CALL __attribute__((no_sanitize("thread"), noinline, noduplicate, nomerge))

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef _Float16 half;
typedef __bf16 bfloat;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;

#define SM_VECTORS(T)                                 \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)));
SM_VECTORS(float)
SM_VECTORS(half)
SM_VECTORS(bfloat)
SM_VECTORS(int)
SM_VECTORS(uint)
SM_VECTORS(short)
SM_VECTORS(ushort)
SM_VECTORS(char)
SM_VECTORS(uchar)
SM_VECTORS(long)
SM_VECTORS(ulong)
SM_VECTORS(bool)
#undef SM_VECTORS

#define INFINITY __builtin_inff()
#define HUGE_VALF __builtin_inff()
#define NAN __builtin_nanf("")
#define MAXFLOAT 3.402823466e+38f
#define FLT_MAX 3.402823466e+38f
#define FLT_MIN 1.175494351e-38f
#define FLT_EPSILON 1.192092896e-07f
#define HALF_MAX ((half)65504.0f)
#define HALF_MIN ((half)6.103515625e-05f)
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define USHRT_MAX 65535
#define ULONG_MAX 18446744073709551615ul
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f
#define M_E_F 2.71828182845904523536f
#define M_LN2_F 0.69314718055994530942f
#define M_LOG2E_F 1.44269504088896340736f

namespace metal {
template <class T, int N>
using vec = T __attribute__((ext_vector_type(N)));

namespace detail {
template <class A, class B>
struct isSame {
  enum { value = 0 };
};
template <class A>
struct isSame<A, A> {
  enum { value = 1 };
};
template <class T>
struct removeConst {
  typedef T type;
};
template <class T>
struct removeConst<const T> {
  typedef T type;
};
template <class T>
struct removeReference {
  typedef T type;
};
template <class T>
struct removeReference<T&> {
  typedef T type;
};

template <class T>
struct vectorInfo {
  enum { count = 1 };
  typedef T element;
};
#define SM_INFO(N)                                           \
  template <class T>                                         \
  struct vectorInfo<T __attribute__((ext_vector_type(N)))> { \
    enum { count = N };                                      \
    typedef T element;                                       \
  };
SM_INFO(2)
SM_INFO(3)
SM_INFO(4)
#undef SM_INFO

// Component lists such as float4(v.xyz, 1): each argument fills as many components as it has.
template <class V, int At, class A, int N>
struct fillFrom {
  static void apply(V& v, const A& a) {
    for (int i = 0; i < N; i++) v[At + i] = (typename vectorInfo<V>::element)a[i];
  }
};
template <class V, int At, class A>
struct fillFrom<V, At, A, 1> {
  static void apply(V& v, const A& a) { v[At] = (typename vectorInfo<V>::element)a; }
};
template <class V, int At>
void fill(V&) {
  static_assert(At == vectorInfo<V>::count, "too few components in a vector constructor");
}
template <class V, int At, class A, class... Rest>
void fill(V& v, const A& a, const Rest&... rest) {
  static_assert(At + vectorInfo<A>::count <= vectorInfo<V>::count, "too many components in a vector constructor");
  fillFrom<V, At, A, vectorInfo<A>::count>::apply(v, a);
  fill<V, At + vectorInfo<A>::count>(v, rest...);
}
template <class V, class A, int N>
struct convert {
  typedef typename vectorInfo<A>::element Vector __attribute__((ext_vector_type(N)));
  static V apply(const A& a) { return __builtin_convertvector((Vector)a, V); }
};
template <class V, class A>
struct convert<V, A, 1> {
  static V apply(const A& a) { return (V)((typename vectorInfo<V>::element)a); }
};
template <class V, class... A>
struct construct {
  static V apply(const A&... a) {
    V v;
    fill<V, 0>(v, a...);
    return v;
  }
};
template <class V, class A>
struct construct<V, A> {
  static V apply(const A& a) { return convert<V, A, vectorInfo<A>::count>::apply(a); }
};
template <class V>
struct construct<V> {
  static V apply() { return (V)0; }
};
}  // namespace detail

// Packed vectors have the alignment of their element.
#define SM_PACKED(T)                                                               \
  struct packed_##T##3 {                                                           \
    T x, y, z;                                                                     \
    packed_##T##3() = default;                                                     \
    packed_##T##3(T##3 v) : x(v.x), y(v.y), z(v.z) {}                              \
    packed_##T##3(T a, T b, T c) : x(a), y(b), z(c) {}                             \
    operator T##3() const {                                                        \
      T##3 v;                                                                      \
      v[0] = x;                                                                    \
      v[1] = y;                                                                    \
      v[2] = z;                                                                    \
      return v;                                                                    \
    }                                                                              \
    T operator[](int i) const {                                                    \
      return (&x)[i];                                                              \
    }                                                                              \
    T& operator[](int i) {                                                         \
      return (&x)[i];                                                              \
    }                                                                              \
  };                                                                               \
  namespace detail {                                                               \
  template <>                                                                      \
  struct vectorInfo<packed_##T##3> {                                               \
    enum { count = 3 };                                                            \
    typedef T element;                                                             \
  };                                                                               \
  }                                                                                \
  typedef T packed_##T##2 __attribute__((ext_vector_type(2), aligned(sizeof(T)))); \
  typedef T packed_##T##4 __attribute__((ext_vector_type(4), aligned(sizeof(T))));
SM_PACKED(float)
SM_PACKED(half)
SM_PACKED(int)
SM_PACKED(uint)
SM_PACKED(short)
SM_PACKED(ushort)
SM_PACKED(char)
SM_PACKED(uchar)
#undef SM_PACKED

// The rewriter turns functional casts to vector types into this.
template <class V, class... A>
V sm_make(const A&... a) {
  return detail::construct<V, A...>::apply(a...);
}

template <class T>
struct numeric_limits;
#define SM_LIMITS(T, lowest_, max_, min_, epsilon_, infinity_) \
  template <>                                                  \
  struct numeric_limits<T> {                                   \
    static constexpr T lowest() {                              \
      return lowest_;                                          \
    }                                                          \
    static constexpr T max() {                                 \
      return max_;                                             \
    }                                                          \
    static constexpr T min() {                                 \
      return min_;                                             \
    }                                                          \
    static constexpr T epsilon() {                             \
      return epsilon_;                                         \
    }                                                          \
    static constexpr T infinity() {                            \
      return infinity_;                                        \
    }                                                          \
  };
SM_LIMITS(float, -FLT_MAX, FLT_MAX, FLT_MIN, FLT_EPSILON, INFINITY)
SM_LIMITS(half, (half)-65504.0f, (half)65504.0f, (half)6.103515625e-05f, (half)9.765625e-04f, (half)INFINITY)
SM_LIMITS(int, INT_MIN, INT_MAX, INT_MIN, 0, 0)
SM_LIMITS(uint, 0u, UINT_MAX, 0u, 0u, 0u)
SM_LIMITS(short, -32768, 32767, -32768, 0, 0)
SM_LIMITS(ushort, 0, 65535, 0, 0, 0)
#undef SM_LIMITS

template <bool B, class A, class C>
struct conditional {
  typedef A type;
};
template <class A, class C>
struct conditional<false, A, C> {
  typedef C type;
};
template <bool B, class A, class C>
using conditional_t = typename conditional<B, A, C>::type;
template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  typedef T type;
};
template <bool B, class T = void>
using enable_if_t = typename enable_if<B, T>::type;
template <class A, class B>
struct is_same {
  static constexpr bool value = detail::isSame<A, B>::value;
};
template <class A, class B>
constexpr bool is_same_v = detail::isSame<A, B>::value;

template <class T, size_t N>
struct array {
  T sm_elements[N];
  T& operator[](size_t i) { return sm_elements[i]; }
  const T& operator[](size_t i) const { return sm_elements[i]; }
  constexpr size_t size() const { return N; }
};
}  // namespace metal

template <class To, class From>
inline To as_type(From value) {
  static_assert(sizeof(To) == sizeof(From), "as_type between types of different sizes");
  return __builtin_bit_cast(To, value);
}
