namespace {

// B for the points 0, ±1, ±2, ∞.
WN_INLINE void inputPoints(const Vec (&x)[6], Vec (&v)[6]) {
  const Vec four = set(4), five = set(-5);
  const Vec a = fma(set(-4), x[2], x[4]), b = fma(set(-4), x[1], x[3]);
  const Vec c = x[4] - x[2], e = (x[3] - x[1]) * set(2);
  v[0] = fma(four, x[0], fma(five, x[2], x[4]));
  v[1] = a + b;
  v[2] = a - b;
  v[3] = c + e;
  v[4] = c - e;
  v[5] = fma(four, x[1], fma(five, x[3], x[5]));
}

// B with the point −1/2 besides: its factor (x + 1/2) first, then the other points; −1/2 itself without that factor.
WN_INLINE void inputPoints(const Vec (&x)[7], Vec (&v)[7]) {
  const Vec half = set(0.5f);
  Vec z[6], w[6];
#pragma GCC unroll 8
  for (int i = 0; i < 6; ++i) z[i] = fma(half, x[i], x[i + 1]);
  inputPoints(z, w);
#pragma GCC unroll 8
  for (int i = 0; i < 5; ++i) v[i] = w[i];
  v[5] = fma(set(4), x[1], fma(set(-5), x[3], x[5]));
  v[6] = w[5];
}

WN_INLINE void outputPoints(const Vec (&m)[6], Vec (&y)[4]) {
  const Vec p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
  y[0] = m[0] + p + r;
  y[1] = fma(set(2), s, q);
  y[2] = fma(set(4), r, p);
  y[3] = fma(set(8), s, q) + m[5];
}

WN_INLINE void outputPoints(const Vec (&m)[7], Vec (&y)[4]) {
  const Vec others[6] = {m[0], m[1], m[2], m[3], m[4], m[6]};
  outputPoints(others, y);
  y[0] = y[0] + m[5];
  y[1] = fma(set(-0.5f), m[5], y[1]);
  y[2] = fma(set(0.25f), m[5], y[2]);
  y[3] = fma(set(-0.125f), m[5], y[3]);
}

// Copies `runs` runs of d floats, in whole pieces of Piece floats that may overshoot: ascending runs repair it.
template <int Piece>
WN_INLINE void copyRuns(const float* from, int64_t fromStep, float* to, int64_t toStep, int64_t d, int64_t runs) {
  for (int64_t q = 0; q < runs; ++q, from += fromStep, to += toStep) {
    for (int64_t i = 0; i < d; i += Piece) memcpy(to + i, from + i, Piece * sizeof(float));
  }
}

// streams[h][q · d + r] = line[4d · q + h · d + r]
WN_INLINE void split(const float* line, int64_t d, int64_t length, float* streams, int64_t stride) {
  if (d == 1) {
    for (int64_t u = 0; u < length; u += kLanes) {
      Vec a, b, c, e, even[2], odd[2];
      unzip(load(line + 4 * u), load(line + 4 * u + kLanes), even[0], odd[0]);
      unzip(load(line + 4 * u + 2 * kLanes), load(line + 4 * u + 3 * kLanes), even[1], odd[1]);
      unzip(even[0], even[1], a, c);
      unzip(odd[0], odd[1], b, e);
      store(streams + u, a);
      store(streams + stride + u, b);
      store(streams + 2 * stride + u, c);
      store(streams + 3 * stride + u, e);
    }
    return;
  }
  const int64_t runs = (length + d - 1) / d;
  for (int h = 0; h < 4; ++h) {
    if (d <= 4) {
      copyRuns<4>(line + h * d, 4 * d, streams + h * stride, d, d, runs);
    } else {
      copyRuns<8>(line + h * d, 4 * d, streams + h * stride, d, d, runs);
    }
  }
}

template <int Points>
void inputOf(const float* line, int64_t d, int64_t count, float* streams, float* v, int64_t planeStride) {
  const int64_t stride = winogradStream(d, count);
  split(line, d, count + d, streams, stride);
  for (int64_t u = 0; u < count; u += kLanes) {
    Vec x[Points], t[Points];
#pragma GCC unroll 8
    for (int i = 0; i < Points; ++i) x[i] = load(streams + (i % 4) * stride + u + d * (i / 4));
    inputPoints(x, t);
#pragma GCC unroll 8
    for (int j = 0; j < Points; ++j) store(v + j * planeStride + u, t[j]);
  }
}

template <int Points>
void outputOf(const float* m, int64_t planeStride, int64_t d, int64_t count, float* streams, float* line) {
  const int64_t stride = winogradStream(d, count);
  for (int64_t u = 0; u < count; u += kLanes) {
    Vec t[Points], y[4];
#pragma GCC unroll 8
    for (int j = 0; j < Points; ++j) t[j] = load(m + j * planeStride + u);
    outputPoints(t, y);
    if (d == 1) {
      zipAll(y);
#pragma GCC unroll 4
      for (int h = 0; h < 4; ++h) store(line + 4 * u + h * kLanes, y[h]);
    } else {
#pragma GCC unroll 4
      for (int h = 0; h < 4; ++h) store(streams + h * stride + u, y[h]);
    }
  }
  if (d == 1) return;
  const int64_t runs = (count + d - 1) / d;
  for (int64_t q = 0; q < runs; ++q) {
    for (int h = 0; h < 4; ++h) {
      const float* from = streams + h * stride + q * d;
      float* to = line + (4 * q + h) * d;
      if (d <= 4) {
        memcpy(to, from, 4 * sizeof(float));
      } else {
        for (int64_t i = 0; i < d; i += 8) memcpy(to + i, from + i, 8 * sizeof(float));
      }
    }
  }
}

// The taps of one group for kLanesD output channels, at every point.
template <int Points>
WN_INLINE void weightPoints(const VecD (&x)[4], const WinogradFactors& factors, VecD (&w)[Points]) {
  // Opposite points share the even and the odd taps.
  const VecD even = x[0] + x[2], odd = x[1] + x[3];
  const VecD even2 = fma(setD(4), x[2], x[0]), odd2 = fma(setD(4), x[3], x[1]);
  w[0] = setD(factors[0]) * x[0];
  w[1] = setD(factors[1]) * (even + odd);
  w[2] = setD(factors[2]) * (even - odd);
  w[3] = setD(factors[3]) * fma(setD(2), odd2, even2);
  w[4] = setD(factors[4]) * fma(setD(-2), odd2, even2);
  if constexpr (Points == 7) {
    const VecD evenHalf = fma(setD(0.25), x[2], x[0]), oddHalf = fma(setD(0.25), x[3], x[1]);
    w[5] = setD(factors[5]) * fma(setD(-0.5), oddHalf, evenHalf);
  }
  w[Points - 1] = x[tapsOf(Points) - 1];
}

// One group of Taps taps of a full row block; taps it lacks are zero. The next row block's place is fetched meanwhile.
template <int Points, int Taps>
WN_INLINE void fullGroup(const float* mixed, const WinogradFactors& factors, int64_t pointStride, float* w) {
#pragma GCC unroll 4
  for (int r = 0; r < kMaxRows; r += kLanesD) {
    VecD x[4], t[Points];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) x[k] = k < Taps ? loadWide(mixed + k * kMaxRows + r) : zeroD();
    weightPoints<Points>(x, factors, t);
#pragma GCC unroll 8
    for (int j = 0; j < Points; ++j) storeWide(w + j * pointStride + r, t[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < Points; ++j) __builtin_prefetch(w + (Points + j) * pointStride, 1);
}

// Groups of full taps, then one of Rest.
template <int Points, int Rest>
void fullBlock(const float* mixed, int64_t inputs, int64_t kernel, const WinogradFactors& factors, int64_t pointStride, float* w) {
  constexpr int kTaps = static_cast<int>(tapsOf(Points));
  const int64_t groups = kernel / kTaps;
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t g = 0; g < groups; ++g, mixed += kTaps * kMaxRows, w += kMaxRows) {
      fullGroup<Points, kTaps>(mixed, factors, pointStride, w);
    }
    if constexpr (Rest > 0) {
      fullGroup<Points, Rest>(mixed, factors, pointStride, w);
      mixed += Rest * kMaxRows;
      w += kMaxRows;
    }
  }
}

// One group of `taps` taps of fewer rows.
template <int Points>
WN_INLINE void weightGroup(const float* mixed, int taps, int rows, const WinogradFactors& factors, int64_t pointStride, float* w) {
  for (int first = 0; first < rows; first += kLanesD) {
    const int count = rows - first < kLanesD ? rows - first : kLanesD;
    VecD x[4], t[Points];
    for (int k = 0; k < 4; ++k) {
      float lanes[kLanesD] = {};
      for (int r = 0; k < taps && r < count; ++r) lanes[r] = mixed[k * rows + first + r];
      x[k] = loadWide(lanes);
    }
    weightPoints<Points>(x, factors, t);
    for (int j = 0; j < Points; ++j) {
      float lanes[kLanesD];
      storeWide(lanes, t[j]);
      for (int r = 0; r < count; ++r) w[j * pointStride + first + r] = lanes[r];
    }
  }
}

template <int Points>
void weightsOf(const float* mixed, int64_t inputs, int64_t kernel, int rows, const WinogradFactors& factors, int64_t pointStride,
               float* w) {
  constexpr int64_t kTaps = tapsOf(Points);
  if (rows == kMaxRows) {
    switch (kernel % kTaps) {
      case 0:
        return fullBlock<Points, 0>(mixed, inputs, kernel, factors, pointStride, w);
      case 1:
        return fullBlock<Points, 1>(mixed, inputs, kernel, factors, pointStride, w);
      case 2:
        return fullBlock<Points, 2>(mixed, inputs, kernel, factors, pointStride, w);
      default:
        return fullBlock<Points, 3>(mixed, inputs, kernel, factors, pointStride, w);
    }
  }
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t tap = 0; tap < kernel; tap += kTaps, w += rows) {
      const int64_t left = kernel - tap;
      weightGroup<Points>(mixed + tap * rows, static_cast<int>(left < kTaps ? left : kTaps), rows, factors, pointStride, w);
    }
    mixed += kernel * rows;
  }
}

void winogradWeights(const float* mixed, int64_t inputs, int64_t kernel, int rows, const WinogradFactors& factors, int points,
                     int64_t pointStride, float* w) {
  if (points == 6) return weightsOf<6>(mixed, inputs, kernel, rows, factors, pointStride, w);
  return weightsOf<7>(mixed, inputs, kernel, rows, factors, pointStride, w);
}

void winogradInput(const float* line, int64_t d, int points, int64_t count, float* streams, float* v, int64_t planeStride) {
  if (points == 6) return inputOf<6>(line, d, count, streams, v, planeStride);
  return inputOf<7>(line, d, count, streams, v, planeStride);
}

void winogradOutput(const float* m, int64_t planeStride, int64_t d, int points, int64_t count, float* streams, float* line) {
  if (points == 6) return outputOf<6>(m, planeStride, d, count, streams, line);
  return outputOf<7>(m, planeStride, d, count, streams, line);
}

}  // namespace

extern const WinogradKernels winogradKernels = {winogradWeights, winogradInput, winogradOutput};
