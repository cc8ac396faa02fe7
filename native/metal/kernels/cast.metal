// y = x in another dtype, rounded to nearest even.
// Grid: one thread per 4 elements, striding beyond it; threadgroup 256.
// Traffic: sizeof(From) + sizeof(To) bytes an element, the least possible.
#include "common.h"

template <typename From, typename To>
[[kernel]] void cast(device const From* x [[buffer(0)]], device To* y [[buffer(1)]], constant ulong& count [[buffer(2)]],
                     uint at [[thread_position_in_grid]], uint grid [[threads_per_grid]]) {
  const ulong whole = count / 4;
  for (ulong i = at; i < whole; i += grid) store4(y + 4 * i, load4(x + 4 * i));
  for (ulong i = 4 * whole + at; i < count; i += grid) y[i] = narrow<To>(widen(x[i]));
}

#define INSTANTIATE_CAST(from, From, to, To) template [[host_name("cast_" from "_" to)]] [[kernel]] decltype(cast<From, To>) cast<From, To>;
#define INSTANTIATE_CASTS(from, From)            \
  INSTANTIATE_CAST(from, From, "float32", float) \
  INSTANTIATE_CAST(from, From, "float16", half)  \
  INSTANTIATE_CAST(from, From, "bfloat16", bf16)
INSTANTIATE_CASTS("float32", float)
INSTANTIATE_CASTS("float16", half)
INSTANTIATE_CASTS("bfloat16", bf16)
