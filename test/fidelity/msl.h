// The Metal Shading Language for clang as plain C++14 with named address spaces: declarations only, enough to check that every pointer,
// reference and call keeps to one space. Unlike the software Metal's headers, which erase them. `thread` is the space of what is unnamed:
// clang converts between no two of them.
#pragma once
#define device __attribute__((address_space(1)))
#define constant const __attribute__((address_space(2)))
#define threadgroup __attribute__((address_space(3)))
#define thread
typedef _Float16 half;

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned long size_t;
typedef uint uint32_t;
typedef int int32_t;
typedef ushort uint16_t;
typedef uchar uint8_t;
typedef ulong uint64_t;
typedef long int64_t;

#define VECTORS(T)                                    \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)))
VECTORS(float);
VECTORS(half);
VECTORS(int);
VECTORS(uint);
VECTORS(short);
VECTORS(ushort);
VECTORS(char);
VECTORS(uchar);
VECTORS(long);
VECTORS(ulong);
#undef VECTORS

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define FLT_MIN 1.17549435e-38f
#define FLT_MAX 3.40282347e+38f
#define FLT_EPSILON 1.19209290e-7f

// What a threadgroup variable refers to: its declaration becomes a reference that this initialises, for clang allows no variable there.
struct threadgroup_memory {
  template <class T>
  operator threadgroup T&() const;
};

namespace metal {
template <class T, int N>
using vec = T __attribute__((ext_vector_type(N)));

// float4(…) and the like; the software Metal checks the number of elements.
template <class V, class... A>
V make(A... elements);

#define UNARY(name)  \
  template <class T> \
  T name(T)
#define BINARY(name) \
  template <class T> \
  T name(T, T)
#define TERNARY(name) \
  template <class T>  \
  T name(T, T, T)
#define PREDICATE(name) \
  template <class T>    \
  bool name(T)
#define WITH_ONE_FORM  \
  UNARY(abs);          \
  UNARY(fabs);         \
  UNARY(floor);        \
  UNARY(ceil);         \
  UNARY(rint);         \
  UNARY(round);        \
  UNARY(trunc);        \
  UNARY(sign);         \
  UNARY(popcount);     \
  UNARY(clz);          \
  UNARY(ctz);          \
  BINARY(min);         \
  BINARY(max);         \
  BINARY(fmin);        \
  BINARY(fmax);        \
  BINARY(fmod);        \
  BINARY(copysign);    \
  TERNARY(fma);        \
  TERNARY(clamp);      \
  TERNARY(mix);        \
  PREDICATE(isnan);    \
  PREDICATE(isinf);    \
  PREDICATE(isfinite); \
  PREDICATE(isnormal)
#define WITH_TWO_FORMS \
  UNARY(exp);          \
  UNARY(exp2);         \
  UNARY(log);          \
  UNARY(log2);         \
  UNARY(sin);          \
  UNARY(cos);          \
  UNARY(tanh);         \
  UNARY(sqrt);         \
  UNARY(rsqrt);        \
  BINARY(pow);         \
  BINARY(divide)
WITH_ONE_FORM;
WITH_TWO_FORMS;
namespace precise {
WITH_TWO_FORMS;
}
namespace fast {
WITH_TWO_FORMS;
}
template <class T>
T ldexp(T, int);
template <class T, class S>
T select(T, T, S);

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
mem_flags operator|(mem_flags, mem_flags);
void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

#define PERMUTATION(name) \
  template <class T>      \
  T name(T, ushort)
#define WITHIN_A_SIMDGROUP        \
  UNARY(simd_sum);                \
  UNARY(simd_product);            \
  UNARY(simd_max);                \
  UNARY(simd_min);                \
  UNARY(simd_and);                \
  UNARY(simd_or);                 \
  UNARY(simd_xor);                \
  UNARY(simd_broadcast_first);    \
  PERMUTATION(simd_shuffle);      \
  PERMUTATION(simd_shuffle_xor);  \
  PERMUTATION(simd_shuffle_down); \
  PERMUTATION(simd_shuffle_up);   \
  PERMUTATION(simd_broadcast)
WITHIN_A_SIMDGROUP;
bool simd_any(bool);
bool simd_all(bool);

// Opaque, made and copied in the thread address space alone.
template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  vec<T, 2> elements;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T);
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
template <class T, int Columns, int Rows>
simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T);
#define MATRIX_MEMORY(space)                                                                                           \
  template <class T>                                                                                                   \
  void simdgroup_load(thread simdgroup_matrix<T, 8, 8>&, const space T*, ulong = 8, ulong2 = ulong2(0), bool = false); \
  template <class T>                                                                                                   \
  void simdgroup_store(thread const simdgroup_matrix<T, 8, 8>&, space T*, ulong = 8, ulong2 = ulong2(0), bool = false)
MATRIX_MEMORY(device);
MATRIX_MEMORY(threadgroup);
#undef MATRIX_MEMORY
#undef UNARY
#undef BINARY
#undef TERNARY
#undef PREDICATE
#undef PERMUTATION
#undef WITH_ONE_FORM
#undef WITH_TWO_FORMS
#undef WITHIN_A_SIMDGROUP
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8>&, thread const simdgroup_matrix<A, 8, 8>&,
                                   thread const simdgroup_matrix<B, 8, 8>&, thread const simdgroup_matrix<C, 8, 8>&);
template <class D, class A, class B>
void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8>&, thread const simdgroup_matrix<A, 8, 8>&,
                        thread const simdgroup_matrix<B, 8, 8>&);
}  // namespace metal

template <class To, class From>
To as_type(From);
