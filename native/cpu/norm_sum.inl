// Sums of the norm family: squares, values, or squares and products, in float64.

// Rows shorter than this are added up in scalar code, from a tile of converted values.
constexpr int64_t kShortRow = kLanes;
constexpr int64_t kTile = 1024;

template <Term T>
struct Accumulator {
  VecD first[4], second[4];

  WN_INLINE void clear() {
    for (int i = 0; i < 4; ++i) first[i] = second[i] = zeroD();
  }
  // Adds one vector to the partial sums `slot` and `slot` + 1.
  WN_INLINE void add(int slot, Vec v, Vec gradW) {
    const VecD lo = low(v), hi = high(v);
    if constexpr (T == Term::kValue) {
      first[slot] = first[slot] + lo;
      first[slot + 1] = first[slot + 1] + hi;
    } else {
      first[slot] = fma(lo, lo, first[slot]);
      first[slot + 1] = fma(hi, hi, first[slot + 1]);
    }
    if constexpr (T == Term::kSquareAndProduct) {
      second[slot] = fma(low(gradW), lo, second[slot]);
      second[slot + 1] = fma(high(gradW), hi, second[slot + 1]);
    }
  }
};

template <Term T, core::DType D>
WN_INLINE Vec loadOther(const void* gradW, int64_t index) {
  if constexpr (T == Term::kSquareAndProduct) return loadAs<D>(gradW, index);
  return zero();
}
template <Term T, core::DType D>
WN_INLINE Vec loadOtherN(const void* gradW, int64_t index, int n) {
  if constexpr (T == Term::kSquareAndProduct) return loadAsN<D>(gradW, index, n);
  return zero();
}

template <Term T, core::DType D>
WN_INLINE void sumRow(const void* v, const void* gradW, int64_t begin, int64_t length, double& first, double& second) {
  Accumulator<T> sums;
  sums.clear();
  int64_t i = 0;
  for (; i + 2 * kLanes <= length; i += 2 * kLanes) {
    sums.add(0, loadAs<D>(v, begin + i), loadOther<T, D>(gradW, begin + i));
    sums.add(2, loadAs<D>(v, begin + i + kLanes), loadOther<T, D>(gradW, begin + i + kLanes));
  }
  for (; i < length; i += kLanes) {
    const int n = static_cast<int>(length - i < kLanes ? length - i : kLanes);
    sums.add(0, loadAsN<D>(v, begin + i, n), loadOtherN<T, D>(gradW, begin + i, n));
  }
  first += sum((sums.first[0] + sums.first[1]) + (sums.first[2] + sums.first[3]));
  if constexpr (T == Term::kSquareAndProduct) {
    second += sum((sums.second[0] + sums.second[1]) + (sums.second[2] + sums.second[3]));
  }
}

// Converts `count` elements to float32.
template <core::DType D>
WN_INLINE void widenTile(const void* from, int64_t begin, int64_t count, float* tile) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(tile + i, loadAs<D>(from, begin + i));
  if (i < count) storeN(tile + i, loadAsN<D>(from, begin + i, static_cast<int>(count - i)), static_cast<int>(count - i));
}

template <Term T, core::DType D>
void sumShortRows(const void* v, const void* gradW, Block block, double* first, double* second) {
  float tile[kTile], other[kTile];
  const int64_t step = kTile / block.length;
  for (int64_t row = 0; row < block.rows; row += step) {
    const int64_t rows = block.rows - row < step ? block.rows - row : step;
    const int64_t begin = block.offset + row * block.length;
    widenTile<D>(v, begin, rows * block.length, tile);
    if constexpr (T == Term::kSquareAndProduct) widenTile<D>(gradW, begin, rows * block.length, other);
    for (int64_t k = 0; k < rows; ++k) {
      double sum = 0, product = 0;
      for (int64_t j = k * block.length; j < (k + 1) * block.length; ++j) {
        const double x = static_cast<double>(tile[j]);
        sum += T == Term::kValue ? x : x * x;
        if constexpr (T == Term::kSquareAndProduct) product += static_cast<double>(other[j]) * x;
      }
      first[row + k] += sum;
      if constexpr (T == Term::kSquareAndProduct) second[row + k] += product;
    }
  }
}

template <Term T, core::DType D>
void sumRows(const void* v, const void* gradW, Block block, double* first, double* second) {
  if (block.length < kShortRow && block.stride == block.length) {
    return sumShortRows<T, D>(v, gradW, block, first, second);
  }
  double unused = 0;
  for (int64_t row = 0; row < block.rows; ++row) {
    double& other = T == Term::kSquareAndProduct ? second[row] : unused;
    sumRow<T, D>(v, gradW, block.offset + row * block.stride, block.length, first[row], other);
  }
}

// Adds `rows` rows of the kLanes (or `n`) columns at `column` to their sums.
template <Term T, core::DType D, bool kPartial>
WN_INLINE void sumColumn(const void* v, const void* gradW, int64_t begin, int64_t rows, int64_t stride, double* first,
                         double* second, int n) {
  double lanes[2 * kLanes] = {};
  double* a = first;
  double* b = second;
  if constexpr (kPartial) {
    a = lanes;
    b = lanes + kLanes;
    for (int i = 0; i < n; ++i) {
      a[i] = first[i];
      if constexpr (T == Term::kSquareAndProduct) b[i] = second[i];
    }
  }
  Accumulator<T> sums;
  sums.first[0] = loadD(a);
  sums.first[1] = loadD(a + kLanesD);
  if constexpr (T == Term::kSquareAndProduct) {
    sums.second[0] = loadD(b);
    sums.second[1] = loadD(b + kLanesD);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t index = begin + row * stride;
    if constexpr (kPartial) {
      sums.add(0, loadAsN<D>(v, index, n), loadOtherN<T, D>(gradW, index, n));
    } else {
      sums.add(0, loadAs<D>(v, index), loadOther<T, D>(gradW, index));
    }
  }
  storeD(a, sums.first[0]);
  storeD(a + kLanesD, sums.first[1]);
  if constexpr (T == Term::kSquareAndProduct) {
    storeD(b, sums.second[0]);
    storeD(b + kLanesD, sums.second[1]);
  }
  if constexpr (kPartial) {
    for (int i = 0; i < n; ++i) {
      first[i] = a[i];
      if constexpr (T == Term::kSquareAndProduct) second[i] = b[i];
    }
  }
}

// Eight rows at a time: each is read as a stream, and the sums stay in the first-level cache.
template <Term T, core::DType D>
void sumColumns(const void* v, const void* gradW, Block block, double* first, double* second) {
  for (int64_t row = 0; row < block.rows; row += 8) {
    const int64_t rows = block.rows - row < 8 ? block.rows - row : 8;
    const int64_t begin = block.offset + row * block.stride;
    int64_t j = 0;
    for (; j + kLanes <= block.length; j += kLanes) {
      sumColumn<T, D, false>(v, gradW, begin + j, rows, block.stride, first + j, second + j, kLanes);
    }
    if (j < block.length) {
      const int n = static_cast<int>(block.length - j);
      sumColumn<T, D, true>(v, gradW, begin + j, rows, block.stride, first + j, second + j, n);
    }
  }
}
