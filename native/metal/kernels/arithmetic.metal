// y = a op b, elementwise, or with a number, or with NumPy broadcasting.
// arithmetic: both operands full, or one of them a single value; grid one thread per 4 elements, striding beyond it;
// threadgroup 256. arithmetic_broadcast: grid x over the last merged axis, y over the others; threadgroup 256 threads
// shaped to the row.
// Traffic: 3 sizeof(T) bytes an element (2 with a single value), the least possible; a broadcast operand is re-read
// from cache.
#include "strided.h"

constant uint kKind [[function_constant(0)]];  // core::Arithmetic
constant uint kFirst [[function_constant(1)]];
constant uint kSecond [[function_constant(2)]];
constant bool kWide [[function_constant(3)]];

// Where an operand comes from.
constant uint kTensor = 0, kOneElement = 1, kNumber = 2;

inline float combine(float a, float b) {
  if (kKind == 0) return a + b;
  if (kKind == 1) return a - b;
  if (kKind == 2) return a * b;
  return a / b;
}
inline float4 combine(float4 a, float4 b) {
  return float4(combine(a.x, b.x), combine(a.y, b.y), combine(a.z, b.z), combine(a.w, b.w));
}

struct ArithmeticParams {
  ulong count;
  float number;
  uint unused;
};

template <typename T>
inline float single(uint from, device const T* p, float number) {
  return from == kNumber ? number : from == kOneElement ? widen(p[0]) : 0.0f;
}

template <typename T>
[[kernel]] void arithmetic(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]], device T* y [[buffer(2)]],
                           constant ArithmeticParams& p [[buffer(3)]], uint at [[thread_position_in_grid]],
                           uint grid [[threads_per_grid]]) {
  const float a0 = single(kFirst, a, p.number), b0 = single(kSecond, b, p.number);
  const ulong whole = p.count / 4;
  for (ulong i = at; i < whole; i += grid) {
    float4 first = float4(a0), second = float4(b0);
    if (kFirst == kTensor) first = load4(a + 4 * i);
    if (kSecond == kTensor) second = load4(b + 4 * i);
    store4(y + 4 * i, combine(first, second));
  }
  for (ulong i = 4 * whole + at; i < p.count; i += grid) {
    float first = a0, second = b0;
    if (kFirst == kTensor) first = widen(a[i]);
    if (kSecond == kTensor) second = widen(b[i]);
    y[i] = narrow<T>(combine(first, second));
  }
}
INSTANTIATE(arithmetic)

struct BroadcastParams {
  Axes axes;  // all but the last
  ulong rows, columns;
  ulong first_step, second_step;  // 0 or 1 along a row
};

template <typename T>
[[kernel]] void arithmetic_broadcast(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]], device T* y [[buffer(2)]],
                                     constant BroadcastParams& p [[buffer(3)]], uint2 at [[thread_position_in_grid]],
                                     uint2 grid [[threads_per_grid]]) {
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    const ulong2 start = offsets(kWide, row, p.axes);
    for (ulong i = at.x; i < p.columns; i += grid.x) {
      const float first = widen(a[start.x + i * p.first_step]), second = widen(b[start.y + i * p.second_step]);
      y[row * p.columns + i] = narrow<T>(combine(first, second));
    }
  }
}
INSTANTIATE(arithmetic_broadcast)
