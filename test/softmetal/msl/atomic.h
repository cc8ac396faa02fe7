// Relaxed atomics. Threads run one at a time, so the operation itself is plain; the checker is told that it is atomic.
#pragma once
#include "simdgroup.h"

namespace metal {
enum memory_order { memory_order_relaxed };
template <class T>
struct atomic {
  T sm_value;
};
typedef atomic<uint> atomic_uint;
typedef atomic<int> atomic_int;
typedef atomic<float> atomic_float;
typedef atomic<bool> atomic_bool;

#define SM_ATOMIC(name, expression)                                                                \
  template <class T, class U>                                                                      \
  SM_CALL T atomic_##name##_explicit(const volatile atomic<T>* object, U operand, memory_order) {  \
    auto* target = const_cast<atomic<T>*>(object);                                                 \
    softmetal_kernel_access(target, sizeof(T), kSmWrite | kSmAtomic, __builtin_return_address(0)); \
    const T old = target->sm_value, value = (T)operand;                                            \
    target->sm_value = expression;                                                                 \
    return old;                                                                                    \
  }
SM_ATOMIC(fetch_add, old + value)
SM_ATOMIC(fetch_sub, old - value)
SM_ATOMIC(fetch_max, (value > old ? value : old))
SM_ATOMIC(fetch_min, (value < old ? value : old))
SM_ATOMIC(fetch_or, old | value)
SM_ATOMIC(fetch_and, old& value)
SM_ATOMIC(fetch_xor, old ^ value)
SM_ATOMIC(exchange, value)
#undef SM_ATOMIC

template <class T>
SM_CALL T atomic_load_explicit(const volatile atomic<T>* object, memory_order) {
  softmetal_kernel_access(const_cast<atomic<T>*>(object), sizeof(T), kSmRead | kSmAtomic, __builtin_return_address(0));
  return const_cast<const atomic<T>*>(object)->sm_value;
}
template <class T, class U>
SM_CALL void atomic_store_explicit(volatile atomic<T>* object, U value, memory_order) {
  auto* target = const_cast<atomic<T>*>(object);
  softmetal_kernel_access(target, sizeof(T), kSmWrite | kSmAtomic, __builtin_return_address(0));
  target->sm_value = (T)value;
}
// Never fails spuriously here; on a GPU it may.
template <class T, class U>
SM_CALL bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* object, thread T* expected, U desired, memory_order, memory_order) {
  auto* target = const_cast<atomic<T>*>(object);
  softmetal_kernel_access(target, sizeof(T), kSmWrite | kSmAtomic, __builtin_return_address(0));
  const T old = target->sm_value;
  const bool equal = __builtin_memcmp(&old, expected, sizeof(T)) == 0;
  if (equal)
    target->sm_value = (T)desired;
  else
    *expected = old;
  return equal;
}
}  // namespace metal
