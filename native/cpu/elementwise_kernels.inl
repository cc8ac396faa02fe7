// Elementwise operations: kernels of cpu/elementwise_kernels.h. Each element's value is the same wherever it stands.

template <core::Act A, core::DType D>
void activateSpan(const void* x, void* y, Span span, float param) {
  const SnakeChannel none;
  const int64_t end = span.begin + span.n;
  int64_t i = span.begin;
  // A loop of its own, whose constants the compiler can keep in registers.
  if (A == core::Act::kPow && !isSpecialPower(param)) {
    for (; i + kLanes <= end; i += kLanes) storeAs<D>(y, i, power(loadAs<D>(x, i), param));
  }
  for (; i + kLanes <= end; i += kLanes) storeAs<D>(y, i, activate<A>(loadAs<D>(x, i), param, none));
  if (i < end) {
    const int n = static_cast<int>(end - i);
    storeAsN<D>(y, i, activate<A>(loadAsN<D>(x, i, n), param, none), n);
  }
}

void snakeChannels(const void* alpha, core::DType dtype, int64_t count, bool logScale, float* value, float* scale) {
  convert(alpha, dtype, value, core::DType::kFloat32, count);
  for (int64_t i = 0; i < count; ++i) {
    const SnakeChannel channel = snakeChannel(value[i], logScale);
    value[i] = channel.alpha;
    scale[i] = channel.scale;
  }
}

WN_INLINE Vec snakeOf(Vec x, Vec alpha, Vec scale) {
  const Vec s = sin(x * alpha);
  return fma(s * s, scale, x);
}

// Runs of one element: the channel numbers are vectors too.
template <core::DType D>
WN_INLINE void snakeElements(const void* x, void* y, Span span, int64_t channels, const float* alpha, const float* scale) {
  const int64_t end = span.begin + span.n;
  for (int64_t i = span.begin; i < end;) {
    const int64_t channel = i % channels;
    const int64_t left = channels - channel < end - i ? channels - channel : end - i;
    const int n = static_cast<int>(left < kLanes ? left : kLanes);
    const Vec result = snakeOf(loadAsN<D>(x, i, n), loadN(alpha + channel, n), loadN(scale + channel, n));
    storeAsN<D>(y, i, result, n);
    i += n;
  }
}

template <core::DType D>
void snake(const void* x, void* y, Span span, int64_t length, int64_t channels, const float* alpha, const float* scale) {
  if (length == 1) return snakeElements<D>(x, y, span, channels, alpha, scale);
  const int64_t end = span.begin + span.n;
  for (int64_t i = span.begin; i < end;) {
    const int64_t run = i / length;
    const int64_t runEnd = (run + 1) * length < end ? (run + 1) * length : end;
    const Vec a = set(alpha[run % channels]), s = set(scale[run % channels]);
    for (; i + kLanes <= runEnd; i += kLanes) storeAs<D>(y, i, snakeOf(loadAs<D>(x, i), a, s));
    if (i < runEnd) {
      const int n = static_cast<int>(runEnd - i);
      storeAsN<D>(y, i, snakeOf(loadAsN<D>(x, i, n), a, s), n);
      i = runEnd;
    }
  }
}

template <core::Arithmetic K>
WN_INLINE Vec combine(Vec a, Vec b) {
  if constexpr (K == core::Arithmetic::kAdd) return a + b;
  if constexpr (K == core::Arithmetic::kSub) return a - b;
  if constexpr (K == core::Arithmetic::kMul) return a * b;
  if constexpr (K == core::Arithmetic::kDiv) return a / b;
}

// One element in every lane.
template <core::DType D>
WN_INLINE Vec loadOne(const void* base, int64_t index) {
  if constexpr (D == core::DType::kFloat32) {
    return set(static_cast<const float*>(base)[index]);
  } else {
    uint16_t lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<const uint16_t*>(base)[index];
    return loadAs<D>(lanes, 0);
  }
}

// kLanes elements; an operand that is fixed is not read.
template <core::Arithmetic K, core::DType D, bool kFixedA, bool kFixedB>
WN_INLINE void combineAt(const void* a, int64_t aAt, Vec fixedA, const void* b, int64_t bAt, Vec fixedB, void* y, int64_t yAt) {
  const Vec left = kFixedA ? fixedA : loadAs<D>(a, aAt), right = kFixedB ? fixedB : loadAs<D>(b, bAt);
  storeAs<D>(y, yAt, combine<K>(left, right));
}

template <core::Arithmetic K, core::DType D, bool kFixedA, bool kFixedB>
WN_INLINE void arithmeticGrid(const void* a, const void* b, void* y, Grid grid) {
  int64_t aAt = grid.aBegin, bAt = grid.bBegin, yAt = grid.yBegin;
  for (int64_t row = 0; row < grid.rows; ++row, aAt += grid.aRow, bAt += grid.bRow, yAt += grid.length) {
    const Vec fixedA = kFixedA ? loadOne<D>(a, aAt) : zero(), fixedB = kFixedB ? loadOne<D>(b, bAt) : zero();
    int64_t i = 0;
    if constexpr (D == core::DType::kFloat32) {
      for (; i + kLanes <= grid.length; i += kLanes) {
        combineAt<K, D, kFixedA, kFixedB>(a, aAt + i, fixedA, b, bAt + i, fixedB, y, yAt + i);
      }
    } else {
#if !defined(__clang__)
// As clang does by itself.
#pragma GCC unroll 2
#endif
      for (; i + kLanes <= grid.length; i += kLanes) {
        combineAt<K, D, kFixedA, kFixedB>(a, aAt + i, fixedA, b, bAt + i, fixedB, y, yAt + i);
      }
    }
    if (i < grid.length) {
      const int n = static_cast<int>(grid.length - i);
      const Vec left = kFixedA ? fixedA : loadAsN<D>(a, aAt + i, n);
      const Vec right = kFixedB ? fixedB : loadAsN<D>(b, bAt + i, n);
      storeAsN<D>(y, yAt + i, combine<K>(left, right), n);
    }
  }
}

template <core::Arithmetic K, core::DType D>
void arithmetic(const void* a, const void* b, void* y, Grid grid) {
  if (grid.aStep == 0 && grid.bStep == 0) return arithmeticGrid<K, D, true, true>(a, b, y, grid);
  if (grid.aStep == 0) return arithmeticGrid<K, D, true, false>(a, b, y, grid);
  if (grid.bStep == 0) return arithmeticGrid<K, D, false, true>(a, b, y, grid);
  arithmeticGrid<K, D, false, false>(a, b, y, grid);
}

template <core::Arithmetic K, bool kNumberFirst>
WN_INLINE Vec combineNumber(Vec x, Vec number) {
  return kNumberFirst ? combine<K>(number, x) : combine<K>(x, number);
}

template <core::Arithmetic K, core::DType D, bool kNumberFirst>
WN_INLINE void withNumberSpan(const void* x, void* y, Span span, float number) {
  const Vec fixed = set(number);
  const int64_t end = span.begin + span.n;
  int64_t i = span.begin;
  for (; i + kLanes <= end; i += kLanes) storeAs<D>(y, i, combineNumber<K, kNumberFirst>(loadAs<D>(x, i), fixed));
  if (i < end) {
    const int n = static_cast<int>(end - i);
    storeAsN<D>(y, i, combineNumber<K, kNumberFirst>(loadAsN<D>(x, i, n), fixed), n);
  }
}

template <core::Arithmetic K, core::DType D>
void withNumber(const void* x, void* y, Span span, float number, bool numberFirst) {
  if (numberFirst) return withNumberSpan<K, D, true>(x, y, span, number);
  withNumberSpan<K, D, false>(x, y, span, number);
}

#define WN_DTYPES(kernel, kind) \
  {kernel<kind, core::DType::kFloat32>, kernel<kind, core::DType::kFloat16>, kernel<kind, core::DType::kBFloat16>}

extern const ElementwiseKernels elementwiseKernels = {
    {WN_DTYPES(activateSpan, core::Act::kNone),
     WN_DTYPES(activateSpan, core::Act::kLeakyRelu),
     WN_DTYPES(activateSpan, core::Act::kRelu),
     WN_DTYPES(activateSpan, core::Act::kElu),
     WN_DTYPES(activateSpan, core::Act::kGelu),
     WN_DTYPES(activateSpan, core::Act::kSilu),
     WN_DTYPES(activateSpan, core::Act::kSigmoid),
     WN_DTYPES(activateSpan, core::Act::kTanh),
     {nullptr, nullptr, nullptr},
     WN_DTYPES(activateSpan, core::Act::kExp),
     WN_DTYPES(activateSpan, core::Act::kSin),
     WN_DTYPES(activateSpan, core::Act::kPow)},
    snakeChannels,
    {snake<core::DType::kFloat32>, snake<core::DType::kFloat16>, snake<core::DType::kBFloat16>},
    {WN_DTYPES(arithmetic, core::Arithmetic::kAdd), WN_DTYPES(arithmetic, core::Arithmetic::kSub),
     WN_DTYPES(arithmetic, core::Arithmetic::kMul), WN_DTYPES(arithmetic, core::Arithmetic::kDiv)},
    {WN_DTYPES(withNumber, core::Arithmetic::kAdd), WN_DTYPES(withNumber, core::Arithmetic::kSub),
     WN_DTYPES(withNumber, core::Arithmetic::kMul), WN_DTYPES(withNumber, core::Arithmetic::kDiv)},
};

#undef WN_DTYPES
