// y = value everywhere, rounded to y's dtype.
// Grid: one thread per 4 elements, striding beyond it; threadgroup 256.
// Traffic: sizeof(T) bytes an element, the least possible.
#include "common.h"

struct FillParams {
  ulong count;
  float value;
  uint unused;
};

template <typename T>
[[kernel]] void fill(device T* y [[buffer(0)]], constant FillParams& p [[buffer(1)]], uint at [[thread_position_in_grid]],
                     uint grid [[threads_per_grid]]) {
  const ulong whole = p.count / 4;
  for (ulong i = at; i < whole; i += grid) store4(y + 4 * i, float4(p.value));
  for (ulong i = 4 * whole + at; i < p.count; i += grid) y[i] = narrow<T>(p.value);
}
INSTANTIATE(fill)
