// y = every step of x's last axis repeated `factor` times: element i of y is element i / factor of x.
// Grid: one thread an element of y, striding beyond it; threadgroup 256.
// Traffic: sizeof(T) (1 + 1 / factor) bytes an element of y, the least possible (repeats come from cache).
#include "common.h"

constant bool kWide [[function_constant(0)]];

struct InterpolateParams {
  ulong count, factor;
};

template <typename T>
[[kernel]] void interpolate(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant InterpolateParams& p [[buffer(2)]],
                            uint at [[thread_position_in_grid]], uint grid [[threads_per_grid]]) {
  for (ulong i = at; i < p.count; i += grid) y[i] = x[kWide ? i / p.factor : ulong(uint(i) / uint(p.factor))];
}

template [[host_name("interpolate_2")]] [[kernel]] decltype(interpolate<ushort>) interpolate<ushort>;
template [[host_name("interpolate_4")]] [[kernel]] decltype(interpolate<uint>) interpolate<uint>;
