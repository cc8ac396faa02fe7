// y = activation(x), elementwise.
// activation: grid one thread per 4 elements, striding beyond it; threadgroup 256.
// activation_snake: grid x over the elements after the channel axis (4 a thread where they divide), y over batch and
// channels; threadgroup 256 threads shaped to the row.
// Traffic: 2 sizeof(T) bytes an element, the least possible; snake reads alpha once a row and thread.
#include "common.h"

constant uint kKind [[function_constant(0)]];
constant bool kLogScale [[function_constant(1)]];
constant uint kAlphaType [[function_constant(2)]];
constant bool kVector [[function_constant(3)]];
constant bool kWide [[function_constant(4)]];

struct ActivationParams {
  ulong count;
  float param;
  uint unused;
};

template <typename T>
[[kernel]] void activation(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant ActivationParams& p [[buffer(2)]],
                           uint at [[thread_position_in_grid]], uint grid [[threads_per_grid]]) {
  const ulong whole = p.count / 4;
  for (ulong i = at; i < whole; i += grid) store4(y + 4 * i, activate(kKind, load4(x + 4 * i), p.param, 0.0f));
  for (ulong i = 4 * whole + at; i < p.count; i += grid) y[i] = narrow<T>(activate(kKind, widen(x[i]), p.param, 0.0f));
}
INSTANTIATE(activation)

struct SnakeParams {
  ulong rows, columns;  // columns in units of 4 where kVector
  uint channels, unused;
};

template <typename T>
[[kernel]] void activation_snake(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant SnakeParams& p [[buffer(2)]],
                                 device const uchar* alpha [[buffer(3)]], uint2 at [[thread_position_in_grid]],
                                 uint2 grid [[threads_per_grid]]) {
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    const uint channel = kWide ? uint(row % ulong(p.channels)) : uint(row) % p.channels;
    const float a = snake_alpha(load_any(alpha, kAlphaType, channel), kLogScale);
    const ulong start = row * p.columns;
    if (kVector) {
      for (ulong i = start + at.x; i < start + p.columns; i += grid.x) store4(y + 4 * i, activate(kActSnake, load4(x + 4 * i), 0.0f, a));
    } else {
      for (ulong i = start + at.x; i < start + p.columns; i += grid.x) y[i] = narrow<T>(activate(kActSnake, widen(x[i]), 0.0f, a));
    }
  }
}
INSTANTIATE(activation_snake)
