// Elementary functions of float32 vectors, evaluated in float64 with polynomials good to 2^-33 or better and rounded
// once, so every instruction set gives the correctly rounded result but for a few cases in a thousand million.
// Subnormal and infinite results and NaN arguments come out as in the C library.

constexpr double kRoundMagic = 0x1.8p52;  // adding it leaves the nearest integer in the low mantissa bits
constexpr double kLn2 = 0x1.62e42fefa39efp-1;

template <int N>
WN_INLINE VecD polynomial(VecD x, const double (&c)[N]) {
  VecD sum = setD(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, setD(c[i]));
  return sum;
}

WN_INLINE VecD absD(VecD x) {
  return select(less(x, zeroD()), zeroD() - x, x);
}

// e^x = power · (1 + tail), |x| clamped to 150, beyond float32's range either way.
struct Exponential {
  VecD power, tail;
};
WN_INLINE Exponential exponential(VecD x) {
  static constexpr double kTaylor[] = {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880};
  const VecD clamped = max(setD(-150), min(setD(150), x));
  const VecD n = fma(clamped, setD(1 / kLn2), setD(kRoundMagic)) - setD(kRoundMagic);
  // The head of ln 2 has 32 bits, so that its product with n is exact.
  const VecD r = (clamped - n * setD(0x1.62e42feep-1)) - n * setD(0x1.a39ef35793c76p-33);
  return {shiftLeft<52>(n + setD(kRoundMagic + 1023)), r * polynomial(r, kTaylor)};
}
WN_INLINE VecD exp(VecD x) {
  const Exponential e = exponential(x);
  return fma(e.power, e.tail, e.power);
}
// Accurate near 0 too.
WN_INLINE VecD expm1(VecD x) {
  const Exponential e = exponential(x);
  // The sign of x is the result's, also for -0.
  return bitOr(fma(e.power, e.tail, e.power - setD(1)), bitAnd(x, setD(-0.0)));
}

WN_INLINE VecD log(VecD x) {
  static constexpr double kSeries[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15};
  const VecD exponentBits = bitOr(shiftRight<52>(x), setD(0x1p52));
  VecD exponent = exponentBits - setD(0x1p52 + 1023);
  VecD mantissa = bitOr(shiftRight<12>(shiftLeft<12>(x)), setD(1));
  const MaskD upper = less(setD(1.4142135623730951), mantissa);
  mantissa = select(upper, mantissa * setD(0.5), mantissa);
  exponent = select(upper, exponent + setD(1), exponent);
  const VecD t = (mantissa - setD(1)) / (mantissa + setD(1));
  const VecD finite = fma(exponent, setD(kLn2), t * polynomial(t * t, kSeries));
  const VecD positive = select(less(setD(0x1.fffffffffffffp1023), x), x, finite);
  const VecD notPositive = select(less(x, zeroD()), setD(__builtin_nan("")), x - setD(__builtin_inf()));
  return select(less(zeroD(), x), positive, notPositive);
}

// For |x| < 2^24: larger arguments go to the C library.
WN_INLINE VecD sinReduced(VecD x) {
  static constexpr double kTaylor[] = {1.0,          -1.0 / 6,        1.0 / 120,        -1.0 / 5040,
                                       1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000};
  const VecD shifted = fma(x, setD(0.3183098861837907), setD(kRoundMagic));
  const VecD n = shifted - setD(kRoundMagic);
  // π in three parts; the first two have 29 bits, so that their products with n are exact.
  VecD r = (x - n * setD(0x1.921fb54p+1)) - n * setD(0x1.10b4611p-29);
  r = r - n * setD(0x1.4c4c6628b80dcp-58);
  const VecD sign = shiftLeft<63>(shifted);
  return bitXor(r * polynomial(r * r, kTaylor), sign);
}

// e^(x²) · erfc(x) for x in [0, 10.5].
WN_INLINE VecD erfcScaled(VecD x) {
  static constexpr double kFit[] = {0.21080636405965325,    -0.37173673385586647,    0.25171319325978653,     -0.12503305741140744,
                                    0.039922541023719289,   -0.0039936242168219956,  -0.0026423943870495571,  0.00087539583617926434,
                                    0.00022845435835834078, -0.00012708274703430685, -3.3907507704901509e-05, 1.5457921044133345e-05,
                                    6.1047523004708027e-06};
  return polynomial((x - setD(2.5)) / (x + setD(2.5)), kFit);
}
WN_INLINE VecD erfc(VecD x) {
  const VecD a = min(setD(10.5), absD(x));
  const VecD tail = exp(zeroD() - a * a) * erfcScaled(a);
  return select(less(x, zeroD()), setD(2) - tail, tail);
}
WN_INLINE VecD erf(VecD x) {
  static constexpr double kTaylor[] = {1.1283791670955126,     -0.37612638903183754,   0.11283791670955126,
                                       -0.026866170645131252,  0.0052239776254421879,  -0.00085483270234508522,
                                       0.00012055332981789664, -1.492565035840625e-05, 1.6462114365889246e-06};
  const VecD series = x * polynomial(x * x, kTaylor);
  return select(less(absD(x), setD(0.5)), series, setD(1) - erfc(x));
}

WN_INLINE Vec exp(Vec x) {
  return join(exp(low(x)), exp(high(x)));
}
WN_INLINE Vec expm1(Vec x) {
  return join(expm1(low(x)), expm1(high(x)));
}
WN_INLINE Vec log(Vec x) {
  return join(log(low(x)), log(high(x)));
}
WN_INLINE Vec erf(Vec x) {
  return join(erf(low(x)), erf(high(x)));
}

WN_INLINE Vec sin(Vec x) {
  const Vec y = join(sinReduced(low(x)), sinReduced(high(x)));
  if (!any(less(set(0x1p24f), abs(x)))) return y;
  float in[kLanes], out[kLanes];
  store(in, x);
  store(out, y);
  for (int i = 0; i < kLanes; ++i) {
    if (!(in[i] <= 0x1p24f && in[i] >= -0x1p24f)) out[i] = static_cast<float>(::sin(static_cast<double>(in[i])));
  }
  return load(out);
}

WN_INLINE VecD tanhD(VecD x) {
  const VecD e = expm1(x + x);
  return e / (e + setD(2));
}
WN_INLINE Vec tanh(Vec x) {
  return join(tanhD(low(x)), tanhD(high(x)));
}

WN_INLINE VecD logisticD(VecD x) {
  return setD(1) / (setD(1) + exp(zeroD() - x));
}
WN_INLINE Vec sigmoid(Vec x) {
  return join(logisticD(low(x)), logisticD(high(x)));
}
WN_INLINE Vec silu(Vec x) {
  return join(low(x) * logisticD(low(x)), high(x) * logisticD(high(x)));
}

// x · Φ(x), through erfc so that the negative tail keeps its digits.
WN_INLINE VecD geluD(VecD x) {
  return x * setD(0.5) * erfc(x * setD(-0.70710678118654752));
}
WN_INLINE Vec gelu(Vec x) {
  return join(geluD(low(x)), geluD(high(x)));
}

// The C library's pow for every base and exponent.
WN_INLINE VecD powD(VecD x, double p, bool odd, bool integer) {
  const VecD magnitude = exp(log(absD(x)) * setD(p));
  // NaN for negative bases but -infinity, as the C library has it.
  if (!integer) return select(less(x, zeroD()), select(less(x, setD(-0x1.fffffffffffffp1023)), magnitude, log(x)), magnitude);
  return odd ? bitOr(magnitude, bitAnd(x, setD(-0.0))) : magnitude;
}
WN_INLINE Vec pow(Vec x, float p) {
  if (p == 0.0f) return set(1);
  if (p == 1.0f) return x;
  if (p == 2.0f) return x * x;
  if (!(p >= -0x1p24f && p <= 0x1p24f)) {
    float lanes[kLanes];
    store(lanes, x);
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(::pow(lanes[i], static_cast<double>(p)));
    return load(lanes);
  }
  const int64_t whole = static_cast<int64_t>(p);
  const bool integer = static_cast<float>(whole) == p;
  const bool odd = integer && (whole & 1) != 0;
  return join(powD(low(x), p, odd, integer), powD(high(x), p, odd, integer));
}
