// The part of the Metal Shading Language that our kernels use, for clang's CUDA mode: warp = simdgroup, block = threadgroup.
// Address spaces are left to clang's inference; what they forbid is checked elsewhere.
#pragma once

#define __constant__ __attribute__((__constant__))
#define __device__ __attribute__((__device__))
#define __global__ __attribute__((__global__))
#define __shared__ __attribute__((__shared__))

#define device
#define constant const
#define thread
#define threadgroup

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned long size_t;
typedef _Float16 half;

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()

#pragma clang force_cuda_host_device begin
#pragma clang attribute push(__attribute__((always_inline)), apply_to = function)

#define MSL_VECTORS(T)                                \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)));
MSL_VECTORS(float)
MSL_VECTORS(half)
MSL_VECTORS(int)
MSL_VECTORS(uint)
MSL_VECTORS(ushort)
MSL_VECTORS(ulong)

namespace metal {
namespace detail {

template <class V>
struct Vector;
#define MSL_VECTOR(T, N)           \
  template <>                      \
  struct Vector<T##N> {            \
    typedef T element;             \
    static constexpr int size = N; \
  };
#define MSL_VECTOR_SIZES(T) MSL_VECTOR(T, 2) MSL_VECTOR(T, 3) MSL_VECTOR(T, 4)
MSL_VECTOR_SIZES(float)
MSL_VECTOR_SIZES(half)
MSL_VECTOR_SIZES(int)
MSL_VECTOR_SIZES(uint)
MSL_VECTOR_SIZES(ushort)
MSL_VECTOR_SIZES(ulong)
template <>
struct Vector<float> {
  typedef float element;
  static constexpr int size = 1;
};
template <>
struct Vector<int> {
  typedef int element;
  static constexpr int size = 1;
};
template <>
struct Vector<uint> {
  typedef uint element;
  static constexpr int size = 1;
};
template <>
struct Vector<ushort> {
  typedef ushort element;
  static constexpr int size = 1;
};
template <>
struct Vector<ulong> {
  typedef ulong element;
  static constexpr int size = 1;
};
template <>
struct Vector<half> {
  typedef half element;
  static constexpr int size = 1;
};

template <class V, class A, int N>
struct Place {
  static void at(V& v, int i, A a) {
    for (int k = 0; k < N; k++) v[i + k] = (typename Vector<V>::element)a[k];
  }
};
template <class V, class A>
struct Place<V, A, 1> {
  static void at(V& v, int i, A a) { v[i] = (typename Vector<V>::element)a; }
};
template <class V>
inline void fill(V&, int) {}
template <class V, class A, class... Rest>
inline void fill(V& v, int i, A a, Rest... rest) {
  Place<V, A, Vector<A>::size>::at(v, i, a);
  fill(v, i + Vector<A>::size, rest...);
}
// A scalar alone fills every element.
template <class V, class A, int N>
struct Single {
  static V make(A a) { return __builtin_convertvector(a, V); }
};
template <class V, class A>
struct Single<V, A, 1> {
  static V make(A a) { return (V)((typename Vector<V>::element)a); }
};
template <class V, class A>
inline V make(A a) {
  return Single<V, A, Vector<A>::size>::make(a);
}
template <class V, class A, class B, class... Rest>
inline V make(A a, B b, Rest... rest) {
  V v;
  fill(v, 0, a, b, rest...);
  return v;
}

}  // namespace detail
}  // namespace metal

#define float2(...) metal::detail::make<float2>(__VA_ARGS__)
#define float4(...) metal::detail::make<float4>(__VA_ARGS__)
#define half4(...) metal::detail::make<half4>(__VA_ARGS__)
#define uint2(...) metal::detail::make<uint2>(__VA_ARGS__)
#define uint3(...) metal::detail::make<uint3>(__VA_ARGS__)
#define uint4(...) metal::detail::make<uint4>(__VA_ARGS__)
#define ushort4(...) metal::detail::make<ushort4>(__VA_ARGS__)
#define ulong2(...) metal::detail::make<ulong2>(__VA_ARGS__)

template <class To, class From>
inline To as_type(From x) {
  return __builtin_bit_cast(To, x);
}

extern "C" __device__ float __nv_expf(float);
extern "C" __device__ float __nv_sinf(float);
extern "C" __device__ float __nv_tanhf(float);
extern "C" __device__ float __nv_powf(float, float);

namespace metal {

inline float fma(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
inline float4 fma(float4 a, float4 b, float4 c) {
  for (int i = 0; i < 4; i++) a[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return a;
}
inline float fabs(float x) {
  return __builtin_fabsf(x);
}
inline float floor(float x) {
  return __builtin_floorf(x);
}
inline bool isnan(float x) {
  return x != x;
}
inline bool isfinite(float x) {
  return __builtin_fabsf(x) < __builtin_inff();
}
inline bool isinf(float x) {
  return __builtin_fabsf(x) == __builtin_inff();
}
template <class T>
inline T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
inline T clamp(T x, T low, T high) {
  return min(max(x, low), high);
}
namespace precise {
inline float sqrt(float x) {
  return __builtin_sqrtf(x);
}
inline float exp(float x) {
  return __nv_expf(x);
}
inline float sin(float x) {
  return __nv_sinf(x);
}
inline float tanh(float x) {
  return __nv_tanhf(x);
}
inline float pow(float x, float y) {
  return __nv_powf(x, y);
}
}  // namespace precise

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
inline void threadgroup_barrier(mem_flags) {
  __syncthreads();
}
inline void simdgroup_barrier(mem_flags) {
  __nvvm_bar_warp_sync(0xffffffffu);
}

// Threadgroups are whole warps here.
template <class T>
inline T simd_shuffle(T x, ushort lane) {
  static_assert(sizeof(T) == 4, "a 32-bit value");
  return __builtin_bit_cast(T, __nvvm_shfl_sync_idx_i32(0xffffffffu, __builtin_bit_cast(int, x), lane, 31));
}
template <class T>
inline T simd_shuffle_xor(T x, ushort mask) {
  static_assert(sizeof(T) == 4, "a 32-bit value");
  return __builtin_bit_cast(T, __nvvm_shfl_sync_bfly_i32(0xffffffffu, __builtin_bit_cast(int, x), mask, 31));
}
template <class T>
inline T simd_sum(T x) {
  for (ushort step = 16; step > 0; step >>= 1) x = x + simd_shuffle_xor(x, step);
  return x;
}
template <class T>
inline T simd_max(T x) {
  for (ushort step = 16; step > 0; step >>= 1) x = max(x, simd_shuffle_xor(x, step));
  return x;
}
inline bool simd_any(bool x) {
  return __nvvm_vote_any_sync(0xffffffffu, x);
}
inline uint simd_lane() {
  return __nvvm_read_ptx_sreg_laneid();
}

// 8x8 float matrices over a warp: lane 4 r + c / 2 holds elements (r, c) and (r, c + 1).
template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  T element[2];
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;

template <class T, int Columns, int Rows>
inline simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T x) {
  simdgroup_matrix<T, Columns, Rows> m;
  m.element[0] = m.element[1] = x;
  return m;
}
inline void simdgroup_load(simdgroup_float8x8& m, const float* p, ulong pitch, ulong2 = 0, bool transposed = false) {
  __nvvm_bar_warp_sync(0xffffffffu);
  const uint row = simd_lane() / 4, column = simd_lane() % 4 * 2;
  for (uint k = 0; k < 2; k++) m.element[k] = transposed ? p[(column + k) * pitch + row] : p[row * pitch + column + k];
}
inline void simdgroup_store(const simdgroup_float8x8& m, float* p, ulong pitch) {
  const uint row = simd_lane() / 4, column = simd_lane() % 4 * 2;
  for (uint k = 0; k < 2; k++) p[row * pitch + column + k] = m.element[k];
}
inline void simdgroup_multiply_accumulate(simdgroup_float8x8& d, const simdgroup_float8x8& a, const simdgroup_float8x8& b,
                                          const simdgroup_float8x8& c) {
  const uint row = simd_lane() / 4, pair = simd_lane() % 4;
  float x = c.element[0], y = c.element[1];
  for (uint k = 0; k < 8; k++) {
    const ushort from = ushort(row * 4 + k / 2), at = ushort(k * 4 + pair);
    const float even = simd_shuffle(a.element[0], from), odd = simd_shuffle(a.element[1], from);
    const float left = k % 2 == 0 ? even : odd;
    x = fma(left, simd_shuffle(b.element[0], at), x);
    y = fma(left, simd_shuffle(b.element[1], at), y);
  }
  d.element[0] = x;
  d.element[1] = y;
}

}  // namespace metal

// What a kernel is launched with: buffer addresses, and the bytes of its one value argument. 4 KB in all at most.
template <size_t Bytes>
struct LaunchArguments {
  void* buffer[16];
  char bytes[Bytes];
};
extern __shared__ char launch_threadgroup_memory[];

namespace launch {
inline uint block(int axis) {
  return axis == 0 ? __nvvm_read_ptx_sreg_ctaid_x() : axis == 1 ? __nvvm_read_ptx_sreg_ctaid_y() : __nvvm_read_ptx_sreg_ctaid_z();
}
inline uint blocks(int axis) {
  return axis == 0 ? __nvvm_read_ptx_sreg_nctaid_x() : axis == 1 ? __nvvm_read_ptx_sreg_nctaid_y() : __nvvm_read_ptx_sreg_nctaid_z();
}
inline uint index(int axis) {
  return axis == 0 ? __nvvm_read_ptx_sreg_tid_x() : axis == 1 ? __nvvm_read_ptx_sreg_tid_y() : __nvvm_read_ptx_sreg_tid_z();
}
inline uint size(int axis) {
  return axis == 0 ? __nvvm_read_ptx_sreg_ntid_x() : axis == 1 ? __nvvm_read_ptx_sreg_ntid_y() : __nvvm_read_ptx_sreg_ntid_z();
}
inline uint linear_index() {
  return (index(2) * size(1) + index(1)) * size(0) + index(0);
}
inline uint simdgroups() {
  return (size(0) * size(1) * size(2) + 31) / 32;
}

template <class V>
struct Axes {
  static V of(uint x, uint y, uint z) {
    V v;
    v[0] = x;
    v[1] = y;
    if (metal::detail::Vector<V>::size > 2) v[2 % metal::detail::Vector<V>::size] = z;
    return v;
  }
};
template <>
struct Axes<uint> {
  static uint of(uint x, uint, uint) { return x; }
};
template <class V>
inline V threadgroup_position_in_grid() {
  return Axes<V>::of(block(0), block(1), block(2));
}
template <class V>
inline V thread_position_in_grid() {
  return Axes<V>::of(block(0) * size(0) + index(0), block(1) * size(1) + index(1), block(2) * size(2) + index(2));
}
template <class V>
inline V thread_position_in_threadgroup() {
  return Axes<V>::of(index(0), index(1), index(2));
}
template <class V>
inline V threads_per_grid() {
  return Axes<V>::of(blocks(0) * size(0), blocks(1) * size(1), blocks(2) * size(2));
}
template <class V>
inline V threadgroups_per_grid() {
  return Axes<V>::of(blocks(0), blocks(1), blocks(2));
}
template <class V>
inline V threads_per_threadgroup() {
  return Axes<V>::of(size(0), size(1), size(2));
}
template <class V>
inline V thread_index_in_threadgroup() {
  return linear_index();
}
template <class V>
inline V simdgroup_index_in_threadgroup() {
  return linear_index() / 32;
}
template <class V>
inline V thread_index_in_simdgroup() {
  return linear_index() % 32;
}
template <class V>
inline V simdgroups_per_threadgroup() {
  return simdgroups();
}
}  // namespace launch
