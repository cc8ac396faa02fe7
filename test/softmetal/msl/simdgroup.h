// Barriers and simdgroup operations. A simdgroup is 32 wide; every lane that exists must reach an operation, from the same call.
#pragma once
#include "math.h"

namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4, mem_threadgroup_imageblock = 8 };
inline constexpr mem_flags operator|(mem_flags a, mem_flags b) {
  return (mem_flags)((int)a | (int)b);
}

SM_CALL inline void threadgroup_barrier(mem_flags flags) {
  softmetal_kernel_barrier(1, (int)flags, __builtin_return_address(0));
  __asm__ volatile("" ::: "memory");
}
SM_CALL inline void simdgroup_barrier(mem_flags flags) {
  softmetal_kernel_barrier(0, (int)flags, __builtin_return_address(0));
  __asm__ volatile("" ::: "memory");
}

namespace detail {
template <class T>
SM_UNCHECKED inline void collect(T& value, unsigned argument, SmCombine combine, const void* site) {
  static_assert(sizeof(T) <= kSmSlotBytes, "the value does not fit a simdgroup slot");
  softmetal_kernel_collective(&value, sizeof(T), argument, combine, site);
}
template <class T>
SM_UNCHECKED inline T& slot(void* slots, unsigned stride, unsigned lane) {
  return *(T*)((char*)slots + stride * lane);
}
// What a lane receives from one that does not exist: every bit set, which is a NaN in all float types.
template <class T>
SM_UNCHECKED inline T undefinedValue() {
  T value;
  __builtin_memset(&value, 0xff, sizeof value);
  return value;
}

// Butterfly order: lane i with i + 16, then + 8 and so on, absent lanes counting as the identity.
template <class T, class Operation>
SM_UNCHECKED void reduceLanes(void* slots, unsigned stride, const unsigned*, unsigned active) {
  T values[kSmSimdWidth];
  const T first = slot<T>(slots, stride, __builtin_ctz(active));
  for (unsigned i = 0; i < kSmSimdWidth; i++) values[i] = active >> i & 1 ? slot<T>(slots, stride, i) : Operation::identity(first);
  for (unsigned step = kSmSimdWidth / 2; step; step /= 2)
    for (unsigned i = 0; i < step; i++) values[i] = Operation::apply(values[i], values[i + step]);
  for (unsigned i = 0; i < kSmSimdWidth; i++) slot<T>(slots, stride, i) = values[0];
}
template <class T, class Operation, int Exclusive>
SM_UNCHECKED void scanLanes(void* slots, unsigned stride, const unsigned*, unsigned active) {
  T running = Operation::identity(T());
  for (unsigned i = 0; i < kSmSimdWidth; i++) {
    if (!(active >> i & 1)) continue;
    T& value = slot<T>(slots, stride, i);
    const T next = Operation::apply(running, value);
    value = Exclusive ? running : next;
    running = next;
  }
}
// Each lane's argument names the lane it reads from; its own number means unchanged.
template <class T>
SM_UNCHECKED void permuteLanes(void* slots, unsigned stride, const unsigned* from, unsigned active) {
  T values[kSmSimdWidth];
  for (unsigned i = 0; i < kSmSimdWidth; i++) values[i] = slot<T>(slots, stride, i);
  for (unsigned i = 0; i < kSmSimdWidth; i++) {
    const unsigned source = from[i];
    slot<T>(slots, stride, i) = source < kSmSimdWidth && (active >> source & 1) ? values[source] : undefinedValue<T>();
  }
}
template <class T>
SM_UNCHECKED void broadcastLane(void* slots, unsigned stride, const unsigned* from, unsigned active) {
  const unsigned source = from[__builtin_ctz(active)];
  for (unsigned i = 0; i < kSmSimdWidth; i++)
    if ((active >> i & 1) && from[i] != source) softmetal_kernel_fail("simd_broadcast with different lanes as its source");
  permuteLanes<T>(slots, stride, from, active);
}
template <class T>
SM_UNCHECKED void broadcastFirst(void* slots, unsigned stride, const unsigned*, unsigned active) {
  const T value = slot<T>(slots, stride, __builtin_ctz(active));
  for (unsigned i = 0; i < kSmSimdWidth; i++) slot<T>(slots, stride, i) = value;
}
SM_UNCHECKED inline void ballotLanes(void* slots, unsigned stride, const unsigned* votes, unsigned active) {
  ulong mask = 0;
  for (unsigned i = 0; i < kSmSimdWidth; i++) mask |= (ulong)((active >> i & 1) && votes[i]) << i;
  for (unsigned i = 0; i < kSmSimdWidth; i++) slot<ulong>(slots, stride, i) = mask | (ulong)active << 32;
}

#define SM_OPERATION(name, identityValue, expression) \
  template <class T>                                  \
  struct name {                                       \
    static T identity(T first) {                      \
      return identityValue;                           \
    }                                                 \
    static T apply(T a, T b) {                        \
      return (T)(expression);                         \
    }                                                 \
  };
SM_OPERATION(Sum, (T)0, a + b)
SM_OPERATION(Product, (T)1, a* b)
SM_OPERATION(Max, first, metal::max(a, b))
SM_OPERATION(Min, first, metal::min(a, b))
SM_OPERATION(And, first, a& b)
SM_OPERATION(Or, (T)0, a | b)
SM_OPERATION(Xor, (T)0, a ^ b)
#undef SM_OPERATION
}  // namespace detail

#define SM_REDUCTION(name, Operation)                                                                      \
  template <class T>                                                                                       \
  SM_CALL T name(T value) {                                                                                \
    detail::collect(value, 0, &detail::reduceLanes<T, detail::Operation<T>>, __builtin_return_address(0)); \
    return value;                                                                                          \
  }
SM_REDUCTION(simd_sum, Sum)
SM_REDUCTION(simd_product, Product)
SM_REDUCTION(simd_max, Max)
SM_REDUCTION(simd_min, Min)
SM_REDUCTION(simd_and, And)
SM_REDUCTION(simd_or, Or)
SM_REDUCTION(simd_xor, Xor)
#undef SM_REDUCTION

#define SM_SCAN(name, Operation, exclusive)                                                                         \
  template <class T>                                                                                                \
  SM_CALL T name(T value) {                                                                                         \
    detail::collect(value, 0, &detail::scanLanes<T, detail::Operation<T>, exclusive>, __builtin_return_address(0)); \
    return value;                                                                                                   \
  }
SM_SCAN(simd_prefix_inclusive_sum, Sum, 0)
SM_SCAN(simd_prefix_exclusive_sum, Sum, 1)
SM_SCAN(simd_prefix_inclusive_product, Product, 0)
SM_SCAN(simd_prefix_exclusive_product, Product, 1)
#undef SM_SCAN

namespace detail {
// The lane number comes from the executor's context, not from an operation, so it needs no arrival of the others.
extern "C" unsigned softmetal_kernel_lane();
}  // namespace detail

template <class T>
SM_CALL T simd_shuffle(T value, ushort lane) {
  detail::collect(value, lane, &detail::permuteLanes<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_shuffle_xor(T value, ushort mask) {
  detail::collect(value, detail::softmetal_kernel_lane() ^ mask, &detail::permuteLanes<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_shuffle_down(T value, ushort delta) {
  const unsigned lane = detail::softmetal_kernel_lane();
  const unsigned from = lane + delta < kSmSimdWidth ? lane + delta : lane;
  detail::collect(value, from, &detail::permuteLanes<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_shuffle_up(T value, ushort delta) {
  const unsigned lane = detail::softmetal_kernel_lane();
  detail::collect(value, lane >= delta ? lane - delta : lane, &detail::permuteLanes<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_shuffle_rotate_down(T value, ushort delta) {
  const unsigned from = (detail::softmetal_kernel_lane() + delta) % kSmSimdWidth;
  detail::collect(value, from, &detail::permuteLanes<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_broadcast(T value, ushort lane) {
  detail::collect(value, lane, &detail::broadcastLane<T>, __builtin_return_address(0));
  return value;
}
template <class T>
SM_CALL T simd_broadcast_first(T value) {
  detail::collect(value, 0, &detail::broadcastFirst<T>, __builtin_return_address(0));
  return value;
}

struct simd_vote {
  typedef ulong vote_t;
  vote_t sm_mask;
  explicit operator vote_t() const { return sm_mask; }
};
SM_CALL inline simd_vote simd_ballot(bool vote) {
  ulong value = 0;
  detail::collect(value, vote, &detail::ballotLanes, __builtin_return_address(0));
  return {value & 0xffffffffu};
}
SM_CALL inline bool simd_any(bool vote) {
  ulong value = 0;
  detail::collect(value, vote, &detail::ballotLanes, __builtin_return_address(0));
  return (uint)value != 0;
}
SM_CALL inline bool simd_all(bool vote) {
  ulong value = 0;
  detail::collect(value, vote, &detail::ballotLanes, __builtin_return_address(0));
  return (uint)value == (uint)(value >> 32);
}
}  // namespace metal
