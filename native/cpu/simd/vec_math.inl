// Elementary functions of float32 vectors, evaluated in float64 with polynomials good to 2^-33 or better and rounded
// once, so every instruction set gives the correctly rounded result but for a few cases in a thousand million.
// Subnormal and infinite results and NaN arguments come out as in the C library.

constexpr double kRoundMagic = 0x1.8p52;  // adding it leaves the nearest integer in the low mantissa bits
constexpr double kLn2 = 0x1.62e42fefa39efp-1;

template <int N>
WN_INLINE Wide polynomial(Wide x, const double (&c)[N]) {
  Wide sum = setWide(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, setWide(c[i]));
  return sum;
}

WN_INLINE Wide magnitude(Wide x) {
  return select(less(x, setWide(0)), setWide(0) - x, x);
}

// e^x = power · (1 + tail), |x| clamped to 150, beyond float32's range either way.
struct Exponential {
  Wide power, tail;
};
WN_INLINE Exponential exponential(Wide x) {
  static constexpr double kTaylor[] = {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880};
  const Wide clamped = max(setWide(-150), min(setWide(150), x));
  const Wide n = fma(clamped, setWide(1 / kLn2), setWide(kRoundMagic)) - setWide(kRoundMagic);
  // The head of ln 2 has 32 bits, so that its product with n is exact.
  const Wide r = (clamped - n * setWide(0x1.62e42feep-1)) - n * setWide(0x1.a39ef35793c76p-33);
  return {shiftLeft<52>(n + setWide(kRoundMagic + 1023)), r * polynomial(r, kTaylor)};
}
WN_INLINE Wide exp(Wide x) {
  const Exponential e = exponential(x);
  return fma(e.power, e.tail, e.power);
}
// Accurate near 0 too.
WN_INLINE Wide expm1(Wide x) {
  const Exponential e = exponential(x);
  // The sign of x is the result's, also for -0.
  return bitOr(fma(e.power, e.tail, e.power - setWide(1)), bitAnd(x, setWide(-0.0)));
}

WN_INLINE Wide log(Wide x) {
  static constexpr double kSeries[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15};
  const Wide exponentBits = bitOr(shiftRight<52>(x), setWide(0x1p52));
  Wide exponent = exponentBits - setWide(0x1p52 + 1023);
  Wide mantissa = bitOr(shiftRight<12>(shiftLeft<12>(x)), setWide(1));
  const MaskWide upper = less(setWide(1.4142135623730951), mantissa);
  mantissa = select(upper, mantissa * setWide(0.5), mantissa);
  exponent = select(upper, exponent + setWide(1), exponent);
  const Wide t = (mantissa - setWide(1)) / (mantissa + setWide(1));
  const Wide finite = fma(exponent, setWide(kLn2), t * polynomial(t * t, kSeries));
  const Wide positive = select(less(setWide(0x1.fffffffffffffp1023), x), x, finite);
  const Wide notPositive = select(less(x, setWide(0)), setWide(__builtin_nan("")), x - setWide(__builtin_inf()));
  return select(less(setWide(0), x), positive, notPositive);
}

// For |x| < 2^24: larger arguments go to the C library.
WN_INLINE Wide sinReduced(Wide x) {
  static constexpr double kTaylor[] = {1.0,          -1.0 / 6,        1.0 / 120,        -1.0 / 5040,
                                       1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000};
  const Wide shifted = fma(x, setWide(0.3183098861837907), setWide(kRoundMagic));
  const Wide n = shifted - setWide(kRoundMagic);
  // π in three parts; the first two have 29 bits, so that their products with n are exact.
  Wide r = (x - n * setWide(0x1.921fb54p+1)) - n * setWide(0x1.10b4611p-29);
  r = r - n * setWide(0x1.4c4c6628b80dcp-58);
  const Wide sign = shiftLeft<63>(shifted);
  return bitXor(r * polynomial(r * r, kTaylor), sign);
}

// e^(x²) · erfc(x) for x in [0, 10.5].
WN_INLINE Wide erfcScaled(Wide x) {
  static constexpr double kFit[] = {0.21080636405965325,    -0.37173673385586647,    0.25171319325978653,     -0.12503305741140744,
                                    0.039922541023719289,   -0.0039936242168219956,  -0.0026423943870495571,  0.00087539583617926434,
                                    0.00022845435835834078, -0.00012708274703430685, -3.3907507704901509e-05, 1.5457921044133345e-05,
                                    6.1047523004708027e-06};
  return polynomial((x - setWide(2.5)) / (x + setWide(2.5)), kFit);
}
WN_INLINE Wide erfc(Wide x) {
  const Wide a = min(setWide(10.5), magnitude(x));
  const Wide tail = exp(setWide(0) - a * a) * erfcScaled(a);
  return select(less(x, setWide(0)), setWide(2) - tail, tail);
}
WN_INLINE Wide erf(Wide x) {
  static constexpr double kTaylor[] = {1.1283791670955126,     -0.37612638903183754,   0.11283791670955126,
                                       -0.026866170645131252,  0.0052239776254421879,  -0.00085483270234508522,
                                       0.00012055332981789664, -1.492565035840625e-05, 1.6462114365889246e-06};
  const Wide series = x * polynomial(x * x, kTaylor);
  return select(less(magnitude(x), setWide(0.5)), series, setWide(1) - erfc(x));
}

WN_INLINE Vec exp(Vec x) {
  return join(exp(widen(x)));
}
WN_INLINE Vec expm1(Vec x) {
  return join(expm1(widen(x)));
}
WN_INLINE Vec log(Vec x) {
  return join(log(widen(x)));
}
WN_INLINE Vec erf(Vec x) {
  return join(erf(widen(x)));
}

WN_INLINE Vec sin(Vec x) {
  const Vec y = join(sinReduced(widen(x)));
  if (!any(less(set(0x1p24f), abs(opaque(x))))) return y;
  float in[kLanes], out[kLanes];
  store(in, x);
  store(out, y);
  for (int i = 0; i < kLanes; ++i) {
    if (!(in[i] <= 0x1p24f && in[i] >= -0x1p24f)) out[i] = static_cast<float>(::sin(static_cast<double>(in[i])));
  }
  return load(out);
}

WN_INLINE Wide tanh(Wide x) {
  const Wide e = expm1(x + x);
  return e / (e + setWide(2));
}
WN_INLINE Vec tanh(Vec x) {
  return join(tanh(widen(x)));
}

WN_INLINE Wide logistic(Wide x) {
  return setWide(1) / (setWide(1) + exp(setWide(0) - x));
}
WN_INLINE Vec sigmoid(Vec x) {
  return join(logistic(widen(x)));
}
WN_INLINE Vec silu(Vec x) {
  return join(widen(x) * logistic(widen(x)));
}

// x · Φ(x), through erfc so that the negative tail keeps its digits.
WN_INLINE Wide gelu(Wide x) {
  return x * setWide(0.5) * erfc(x * setWide(-0.70710678118654752));
}
WN_INLINE Vec gelu(Vec x) {
  return join(gelu(widen(x)));
}

// Values below `bound` but -infinity give NaN; `sign` holds the bits that the result takes from x.
WN_INLINE Wide pow(Wide x, double p, double bound, double sign) {
  const Wide power = bitOr(exp(log(magnitude(x)) * setWide(p)), bitAnd(x, setWide(sign)));
  const Wide negative = select(less(x, setWide(-0x1.fffffffffffffp1023)), power, setWide(__builtin_nan("")));
  return select(less(x, setWide(bound)), negative, power);
}
// Exponents that `power` does not take.
WN_INLINE bool isSpecialPower(float p) {
  return p == 0.0f || p == 1.0f || p == 2.0f || !(p >= -0x1p24f && p <= 0x1p24f);
}
WN_INLINE Vec power(Vec x, float p) {
  const int64_t whole = static_cast<int64_t>(p);
  const bool integer = static_cast<float>(whole) == p, odd = integer && (whole & 1) != 0;
  // Only whole exponents take negative bases, and odd ones keep their sign.
  return join(pow(widen(x), p, integer ? -__builtin_inf() : 0.0, odd ? -0.0 : 0.0));
}
// x^p in place. Apart from its many callers, which would make a large part of the binary of it.
__attribute__((noinline)) static void raise(Vec& x, float p) {
  if (!isSpecialPower(p)) {
    x = power(x, p);
  } else if (p == 0.0f) {
    x = set(1);
  } else if (p == 2.0f) {
    x = x * x;
  } else if (p != 1.0f) {
    float lanes[kLanes];
    store(lanes, x);
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(::pow(lanes[i], static_cast<double>(p)));
    x = load(lanes);
  }
}
// The C library's pow for every base and exponent.
WN_INLINE Vec pow(Vec x, float p) {
  raise(x, p);
  return x;
}
