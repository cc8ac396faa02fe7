// Entry points of a kernel library: argument unpacking, function constants, and the hooks that the instrumentation calls.
#pragma once
#include "atomic.h"
#include "simdgroup_matrix.h"

#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
namespace sm {
template <class T>
struct parameterOf {
  static constexpr SmParameter value() { return {0, 0, 0, (unsigned)sizeof(T), (unsigned)alignof(T)}; }
};
template <class T>
struct parameterOf<T*> {
  static constexpr SmParameter value() {
    return {1, 0, metal::detail::isSame<T, const T>::value, (unsigned)sizeof(T), (unsigned)alignof(T)};
  }
};
template <class T>
struct parameterOf<T&> {
  static constexpr SmParameter value() {
    return {0, 1, metal::detail::isSame<T, const T>::value, (unsigned)sizeof(T), (unsigned)alignof(T)};
  }
};

template <class T, int N>
struct builtinValue {
  static T get(const unsigned* words) {
    T value;
    for (int i = 0; i < N; i++) value[i] = words[i];
    return value;
  }
};
template <class T>
struct builtinValue<T, 1> {
  static T get(const unsigned* words) { return (T)words[0]; }
};

// Values come from the context, pointers and references from the bindings.
template <class T>
struct argument {
  static T get(const SmAttribute& attribute, void* const*, const SmContext* context) {
    typedef typename metal::detail::removeConst<T>::type Plain;
    const int builtin = attribute.kind - kSmThreadPositionInGrid;
    const unsigned* words = (const unsigned*)context + (builtin < 7 ? builtin * 3 : 21 + builtin - 7);
    return builtinValue<Plain, metal::detail::vectorInfo<Plain>::count>::get(words);
  }
};
template <class T>
struct argument<T*> {
  static T* get(const SmAttribute& attribute, void* const* bindings, const SmContext*) {
    return (T*)bindings[attribute.index + (attribute.kind == kSmThreadgroupMemory ? kSmBufferCount : 0)];
  }
};
template <class T>
struct argument<T&> {
  static T& get(const SmAttribute& attribute, void* const* bindings, const SmContext* context) {
    return *argument<T*>::get(attribute, bindings, context);
  }
};

template <int... I>
struct indices {};
template <int N, int... I>
struct makeIndices : makeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct makeIndices<0, I...> {
  typedef indices<I...> type;
};

template <class F, F function, const SmAttribute* attributes>
struct entry;
template <class... P, void (*function)(P...), const SmAttribute* attributes>
struct entry<void (*)(P...), function, attributes> {
  static constexpr SmParameter parameters[sizeof...(P) + 1] = {parameterOf<P>::value()...};
  enum { count = sizeof...(P) };
  template <int... I>
  static void call(indices<I...>, void* const* bindings, const SmContext* context) {
    function(argument<P>::get(attributes[I], bindings, context)...);
  }
  static void run(void* const* bindings, const SmContext* context) { call(typename makeIndices<count>::type(), bindings, context); }
};
template <class... P, void (*function)(P...), const SmAttribute* attributes>
constexpr SmParameter entry<void (*)(P...), function, attributes>::parameters[sizeof...(P) + 1];

template <class T>
T functionConstant(int index) {
  T value = T();
  softmetal_kernel_constant(index, &value, sizeof value);
  return value;
}
inline bool functionConstantDefined(int index) {
  char value[16];
  return softmetal_kernel_constant(index, value, 0);
}

// MTLDataType of a function constant.
template <class T>
struct dataType;
#define SM_DATA_TYPE(T, scalar)  \
  template <>                    \
  struct dataType<T> {           \
    enum { value = scalar };     \
  };                             \
  template <>                    \
  struct dataType<T##2> {        \
    enum { value = scalar + 1 }; \
  };                             \
  template <>                    \
  struct dataType<T##3> {        \
    enum { value = scalar + 2 }; \
  };                             \
  template <>                    \
  struct dataType<T##4> {        \
    enum { value = scalar + 3 }; \
  };
SM_DATA_TYPE(float, 3)
SM_DATA_TYPE(half, 16)
SM_DATA_TYPE(int, 29)
SM_DATA_TYPE(uint, 33)
SM_DATA_TYPE(short, 37)
SM_DATA_TYPE(ushort, 41)
SM_DATA_TYPE(char, 45)
SM_DATA_TYPE(uchar, 49)
SM_DATA_TYPE(bool, 53)
#undef SM_DATA_TYPE
template <>
struct dataType<long> {
  enum { value = 81 };
};
template <>
struct dataType<ulong> {
  enum { value = 85 };
};
}  // namespace sm
#pragma clang attribute pop

#define SM_HOOK extern "C" __attribute__((visibility("hidden"), no_sanitize("thread"), used))
#define SM_ACCESS_HOOKS(n)                                                               \
  SM_HOOK void __tsan_read##n(void* p) {                                                 \
    softmetal_kernel_access(p, n, kSmRead, __builtin_return_address(0));                 \
  }                                                                                      \
  SM_HOOK void __tsan_write##n(void* p) {                                                \
    softmetal_kernel_access(p, n, kSmWrite, __builtin_return_address(0));                \
  }                                                                                      \
  SM_HOOK void __tsan_unaligned_read##n(void* p) {                                       \
    softmetal_kernel_access(p, n, kSmRead | kSmUnaligned, __builtin_return_address(0));  \
  }                                                                                      \
  SM_HOOK void __tsan_unaligned_write##n(void* p) {                                      \
    softmetal_kernel_access(p, n, kSmWrite | kSmUnaligned, __builtin_return_address(0)); \
  }
SM_ACCESS_HOOKS(1)
SM_ACCESS_HOOKS(2)
SM_ACCESS_HOOKS(4)
SM_ACCESS_HOOKS(8)
SM_ACCESS_HOOKS(16)
#undef SM_ACCESS_HOOKS
SM_HOOK void __tsan_init() {}
SM_HOOK void __ubsan_handle_out_of_bounds_abort(void*, void*) {
  softmetal_kernel_index(__builtin_return_address(0));
}
SM_HOOK void* __tsan_memcpy(void* to, const void* from, unsigned long size) {
  softmetal_kernel_access(from, size, kSmRead | kSmUnaligned, __builtin_return_address(0));
  softmetal_kernel_access(to, size, kSmWrite | kSmUnaligned, __builtin_return_address(0));
  return __builtin_memcpy(to, from, size);
}
SM_HOOK void* __tsan_memmove(void* to, const void* from, unsigned long size) {
  softmetal_kernel_access(from, size, kSmRead | kSmUnaligned, __builtin_return_address(0));
  softmetal_kernel_access(to, size, kSmWrite | kSmUnaligned, __builtin_return_address(0));
  return __builtin_memmove(to, from, size);
}
SM_HOOK void* __tsan_memset(void* to, int value, unsigned long size) {
  softmetal_kernel_access(to, size, kSmWrite | kSmUnaligned, __builtin_return_address(0));
  return __builtin_memset(to, value, size);
}
