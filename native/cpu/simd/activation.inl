// Activations of core/ops.h on vectors, one formula for elementwise operations and for those fused into a neighbour.

// Snake's per-channel numbers: y = x + sin²(αx) · scale with scale = 1 / (α + 1e-9).
struct SnakeChannel {
  float alpha = 1, scale = 1;
};

WN_INLINE SnakeChannel snakeChannel(float alpha, bool logScale) {
  float value = alpha;
  if (logScale) {
    float lanes[kLanes];
    store(lanes, exp(set(alpha)));
    value = lanes[0];
  }
  return {value, 1.0f / (value + 1e-9f)};
}

template <core::Act A>
WN_INLINE Vec activate(Vec x, float param, SnakeChannel snake) {
  using core::Act;
  if constexpr (A == Act::kNone) return x;
  if constexpr (A == Act::kLeakyRelu) return select(less(opaque(x), zero()), x * set(param), x);
  if constexpr (A == Act::kRelu) return max(zero(), x);
  if constexpr (A == Act::kElu) return select(less(opaque(x), zero()), set(param) * expm1(x), x);
  if constexpr (A == Act::kGelu) return gelu(x);
  if constexpr (A == Act::kSilu) return silu(x);
  if constexpr (A == Act::kSigmoid) return sigmoid(x);
  if constexpr (A == Act::kTanh) return tanh(x);
  if constexpr (A == Act::kSnake) {
    const Vec s = sin(x * set(snake.alpha));
    return fma(s * s, set(snake.scale), x);
  }
  if constexpr (A == Act::kExp) return exp(x);
  if constexpr (A == Act::kSin) return sin(x);
  if constexpr (A == Act::kPow) return pow(x, param);
}
