// Sums of the norm family: squares, values, or squares and products, in float64. Squares of rows are added in float32 first,
// four at a time, where that is safe: a conversion to float64 costs more than the product.

// Rows shorter than a vector go through tiles of this many elements.
constexpr int64_t kTile = 1024;
constexpr int64_t kPadding = 2 * kLanes;

// Partial sums of whole vectors.
template <Term T>
struct Accumulator {
  VecD first[8], second[8];

  WN_INLINE void clear() {
    for (int i = 0; i < 8; ++i) first[i] = second[i] = zeroD();
  }
  // Adds one vector of v and, for products, of gradW to partial sums 2 · slot and 2 · slot + 1.
  WN_INLINE void add(int slot, Wide v, Wide gradW) {
    VecD* const a = first + 2 * slot;
    VecD* const b = second + 2 * slot;
    if constexpr (T == Term::kValue) {
      a[0] = a[0] + v.lo;
      a[1] = a[1] + v.hi;
    } else {
      a[0] = fma(v.lo, v.lo, a[0]);
      a[1] = fma(v.hi, v.hi, a[1]);
    }
    if constexpr (T == Term::kSquareAndProduct) {
      b[0] = fma(gradW.lo, v.lo, b[0]);
      b[1] = fma(gradW.hi, v.hi, b[1]);
    }
  }
};

WN_INLINE double total(const VecD (&partial)[8]) {
  return sum(((partial[0] + partial[1]) + (partial[2] + partial[3])) + ((partial[4] + partial[5]) + (partial[6] + partial[7])));
}

template <Term T, core::DType D>
WN_INLINE Wide loadProduct(const void* gradW, int64_t index) {
  if constexpr (T == Term::kSquareAndProduct) return loadWide<D>(gradW, index);
  return {zeroD(), zeroD()};
}
template <Term T, core::DType D>
WN_INLINE Wide loadProductPart(const void* gradW, int64_t index, int n) {
  if constexpr (T == Term::kSquareAndProduct) return loadWidePart<D>(gradW, index, n);
  return {zeroD(), zeroD()};
}

// Elements of whole vectors that squaresOfFour() takes.
constexpr int64_t kFour = 4 * kLanes;

// The squares of four vectors added lane by lane in float32. Each square meets three roundings at most, with fma or without:
// the sum is within 3u of the truth, u = 2^-24, relatively and whatever the values, since all terms are positive. So is a sum
// of any number of them in float64, equal values included; n is then within 1.5u + u, and w = v · s within 3.5u + half an ulp.
template <core::DType D>
WN_INLINE Vec squaresOfFour(const void* v, int64_t index) {
  const Vec a = loadAs<D>(v, index), b = loadAs<D>(v, index + kLanes);
  const Vec c = loadAs<D>(v, index + 2 * kLanes), d = loadAs<D>(v, index + 3 * kLanes);
  return fma(b, b, a * a) + fma(d, d, c * c);
}

// Whether that bound holds for a row of `length` elements whose squares came to `sum`: nothing overflowed, and what
// underflowed, below 2^-126 in each of two roundings an element (flushed to zero at worst), is less than 2^-30 of it.
WN_INLINE bool isSafe(double sum, int64_t length) {
  return sum >= static_cast<double>(length) * 0x1p-95 && sum <= 0x1p200;
}

template <core::DType D>
WN_INLINE void prefetchRun(const void* fetch, int64_t index, int64_t count) {
  constexpr int64_t kLine = D == core::DType::kFloat32 ? 16 : 32;
  for (int64_t line = 0; line < count; line += kLine) prefetch<D>(fetch, index + line);
}

// The squares of a row, all of whose whole vectors but fewer than four go through squaresOfFour().
template <core::DType D>
WN_INLINE double sumSquares(const void* v, const void* fetch, int64_t begin, int64_t length) {
  VecD even[2] = {zeroD(), zeroD()}, odd[2] = {zeroD(), zeroD()};
  int64_t i = 0;
  for (; i + 2 * kFour <= length; i += 2 * kFour) {
    if (fetch) prefetchRun<D>(fetch, begin + i, 2 * kFour);
    const Vec x = squaresOfFour<D>(v, begin + i), y = squaresOfFour<D>(v, begin + i + kFour);
    even[0] = even[0] + low(x);
    even[1] = even[1] + high(x);
    odd[0] = odd[0] + low(y);
    odd[1] = odd[1] + high(y);
  }
  for (; i + kFour <= length; i += kFour) {
    const Vec x = squaresOfFour<D>(v, begin + i);
    even[0] = even[0] + low(x);
    even[1] = even[1] + high(x);
  }
  for (; i < length; i += kLanes) {
    const int64_t left = length - i;
    const Wide x = left < kLanes ? loadWidePart<D>(v, begin + i, static_cast<int>(left)) : loadWide<D>(v, begin + i);
    odd[0] = fma(x.lo, x.lo, odd[0]);
    odd[1] = fma(x.hi, x.hi, odd[1]);
  }
  return sum((even[0] + even[1]) + (odd[0] + odd[1]));
}

// All in float64.
template <Term T, core::DType D>
WN_INLINE void sumRowWide(const void* v, const void* gradW, const void* fetch, int64_t begin, int64_t length, double& first,
                          double& second) {
  // As many vectors at a time as there are registers to hide the latency of additions in.
  constexpr int kUnroll = T == Term::kSquareAndProduct ? 2 : 4;
  Accumulator<T> sums;
  sums.clear();
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= length; i += kUnroll * kLanes) {
    if (fetch) prefetchRun<D>(fetch, begin + i, kUnroll * kLanes);
    for (int slot = 0; slot < kUnroll; ++slot) {
      const int64_t at = begin + i + slot * kLanes;
      sums.add(slot, loadWide<D>(v, at), loadProduct<T, D>(gradW, at));
    }
  }
  for (; i + kLanes <= length; i += kLanes) {
    sums.add(0, loadWide<D>(v, begin + i), loadProduct<T, D>(gradW, begin + i));
  }
  if (i < length) {
    const int n = static_cast<int>(length - i);
    sums.add(0, loadWidePart<D>(v, begin + i, n), loadProductPart<T, D>(gradW, begin + i, n));
  }
  first += total(sums.first);
  if constexpr (T == Term::kSquareAndProduct) second += total(sums.second);
}

template <core::DType D>
__attribute__((noinline)) double sumSquaresWide(const void* v, int64_t begin, int64_t length) {
  double squares = 0, unused = 0;
  sumRowWide<Term::kSquare, D>(v, nullptr, nullptr, begin, length, squares, unused);
  return squares;
}

template <Term T, core::DType D>
WN_INLINE void sumRow(const void* v, const void* gradW, const void* fetch, int64_t begin, int64_t length, double& first, double& second) {
  if constexpr (T == Term::kSquare) {
    double squares = length < kFour ? 0 : sumSquares<D>(v, fetch, begin, length);
    if (!isSafe(squares, length)) squares = sumSquaresWide<D>(v, begin, length);
    first += squares;
  } else {
    sumRowWide<T, D>(v, gradW, fetch, begin, length, first, second);
  }
}

// sums[k] += the sum of `inner` neighbours of `terms`, for k < count.
template <int kInner>
WN_INLINE void addRunsOf(const double* terms, int64_t count, double* sums) {
  for (int64_t k = 0; k < count; ++k, terms += kInner) {
    double sum = terms[0];
    for (int j = 1; j < kInner; ++j) sum += terms[j];
    sums[k] += sum;
  }
}
void addRuns(const double* terms, int64_t count, int64_t inner, double* sums) {
  switch (inner) {
    case 2:
      return addRunsOf<2>(terms, count, sums);
    case 3:
      return addRunsOf<3>(terms, count, sums);
    case 4:
      return addRunsOf<4>(terms, count, sums);
    case 5:
      return addRunsOf<5>(terms, count, sums);
    case 7:
      return addRunsOf<7>(terms, count, sums);
    case 9:
      return addRunsOf<9>(terms, count, sums);
    case 11:
      return addRunsOf<11>(terms, count, sums);
  }
  for (int64_t k = 0; k < count; ++k, terms += inner) {
    double sum = terms[0];
    for (int64_t j = 1; j < inner; ++j) sum += terms[j];
    sums[k] += sum;
  }
}

// The terms of `count` elements one after the other. The last vector may hold terms of elements that follow.
template <Term T, core::DType D>
WN_INLINE void writeTerms(const void* v, const void* gradW, int64_t begin, int64_t count, double* terms, double* products) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const Wide x = loadWide<D>(v, begin + i);
    storeD(terms + i, T == Term::kValue ? x.lo : x.lo * x.lo);
    storeD(terms + i + kLanesD, T == Term::kValue ? x.hi : x.hi * x.hi);
    if constexpr (T == Term::kSquareAndProduct) {
      const Wide y = loadWide<D>(gradW, begin + i);
      storeD(products + i, x.lo * y.lo);
      storeD(products + i + kLanesD, x.hi * y.hi);
    }
  }
}

// Rows shorter than a vector, one after the other: terms first, then their sums.
template <Term T, core::DType D>
void sumShortRows(const void* v, const void* gradW, const Block& block, double* first, double* second) {
  double terms[kTile + kPadding], products[kTile + kPadding];
  const int64_t step = kTile / block.length;
  for (int64_t row = 0; row < block.rows; row += step) {
    const int64_t rows = block.rows - row < step ? block.rows - row : step;
    writeTerms<T, D>(v, gradW, block.offset + row * block.length, rows * block.length, terms, products);
    addRuns(terms, rows, block.length, first + row);
    if constexpr (T == Term::kSquareAndProduct) addRuns(products, rows, block.length, second + row);
  }
}

template <Term T, core::DType D>
void sumRows(const void* v, const void* gradW, const Block& block, double* first, double* second) {
  if (block.length < kLanes && block.stride == block.length) return sumShortRows<T, D>(v, gradW, block, first, second);
  double unused = 0;
  for (int64_t row = 0; row < block.rows; ++row) {
    double& other = T == Term::kSquareAndProduct ? second[row] : unused;
    sumRow<T, D>(v, gradW, block.fetch, block.offset + row * block.stride, block.length, first[row], other);
  }
}

// Adds rows of kLanes columns to their sums.
template <Term T, core::DType D>
WN_INLINE void sumColumn(const void* v, const void* gradW, int64_t begin, int64_t rows, int64_t stride, double* first, double* second) {
  Accumulator<T> sums;
  sums.first[0] = loadD(first);
  sums.first[1] = loadD(first + kLanesD);
  if constexpr (T == Term::kSquareAndProduct) {
    sums.second[0] = loadD(second);
    sums.second[1] = loadD(second + kLanesD);
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = begin + row * stride;
    sums.add(0, loadWide<D>(v, at), loadProduct<T, D>(gradW, at));
  }
  storeD(first, sums.first[0]);
  storeD(first + kLanesD, sums.first[1]);
  if constexpr (T == Term::kSquareAndProduct) {
    storeD(second, sums.second[0]);
    storeD(second + kLanesD, sums.second[1]);
  }
}

// The same for the last n < kLanes columns: whole vectors, of which n lanes are kept.
template <Term T, core::DType D>
WN_INLINE void sumLastColumns(const void* v, const void* gradW, int64_t begin, int64_t rows, int64_t stride, double* first, double* second,
                              int n) {
  double a[kLanes] = {}, b[kLanes] = {};
  for (int i = 0; i < n; ++i) {
    a[i] = first[i];
    if constexpr (T == Term::kSquareAndProduct) b[i] = second[i];
  }
  sumColumn<T, D>(v, gradW, begin, rows, stride, a, b);
  for (int i = 0; i < n; ++i) {
    first[i] = a[i];
    if constexpr (T == Term::kSquareAndProduct) second[i] = b[i];
  }
}

// sums[k] += Σ terms[i · length + k] over rows i, for k < length <= kVectors · kLanesD. Lanes past `length` are not used.
template <int kVectors>
WN_INLINE void addRowsOf(const double* terms, int64_t rows, int64_t length, double* sums) {
  VecD even[kVectors], odd[kVectors];
  for (int c = 0; c < kVectors; ++c) even[c] = odd[c] = zeroD();
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2, terms += 2 * length) {
    for (int c = 0; c < kVectors; ++c) {
      even[c] = even[c] + loadD(terms + c * kLanesD);
      odd[c] = odd[c] + loadD(terms + length + c * kLanesD);
    }
  }
  double total[kVectors * kLanesD];
  for (int c = 0; c < kVectors; ++c) {
    if (row < rows) even[c] = even[c] + loadD(terms + c * kLanesD);
    storeD(total + c * kLanesD, even[c] + odd[c]);
  }
  for (int64_t k = 0; k < length; ++k) sums[k] += total[k];
}
WN_INLINE void addRows(const double* terms, int64_t rows, int64_t length, double* sums) {
  if (length <= kLanesD) return addRowsOf<1>(terms, rows, length, sums);
  if (length <= 2 * kLanesD) return addRowsOf<2>(terms, rows, length, sums);
  addRowsOf<4>(terms, rows, length, sums);
}

// A few columns whose rows follow one another: terms first, then their sums.
template <Term T, core::DType D>
void sumFewColumns(const void* v, const void* gradW, const Block& block, double* first, double* second) {
  double terms[kTile + 2 * kPadding], products[kTile + 2 * kPadding];
  const int64_t step = kTile / block.length;
  for (int64_t row = 0; row < block.rows; row += step) {
    const int64_t rows = block.rows - row < step ? block.rows - row : step;
    writeTerms<T, D>(v, gradW, block.offset + row * block.length, rows * block.length, terms, products);
    addRows(terms, rows, block.length, first);
    if constexpr (T == Term::kSquareAndProduct) addRows(products, rows, block.length, second);
  }
}

// Rows this near each other are fetched ahead by hand: hardware follows no more than one stream a page.
constexpr int64_t kNearRows = 512;

// Eight rows at a time, so that the sums stay in the first-level cache.
template <Term T, core::DType D>
void sumColumns(const void* v, const void* gradW, const Block& block, double* first, double* second) {
  if (block.length <= 2 * kLanes && block.stride == block.length) {
    return sumFewColumns<T, D>(v, gradW, block, first, second);
  }
  for (int64_t row = 0; row < block.rows; row += 8) {
    const int64_t rows = block.rows - row < 8 ? block.rows - row : 8;
    const int64_t begin = block.offset + row * block.stride;
    // Absent without products.
    const auto products = [&](int64_t at) { return T == Term::kSquareAndProduct ? second + at : nullptr; };
    int64_t j = 0;
    for (; j + kLanes <= block.length; j += kLanes) {
      if (block.stride <= kNearRows) {
        for (int64_t next = 8; next < 16; ++next) {
          prefetch<D>(v, begin + next * block.stride + j);
          if constexpr (T == Term::kSquareAndProduct) prefetch<D>(gradW, begin + next * block.stride + j);
        }
      }
      sumColumn<T, D>(v, gradW, begin + j, rows, block.stride, first + j, products(j));
    }
    if (j < block.length) {
      const int n = static_cast<int>(block.length - j);
      sumLastColumns<T, D>(v, gradW, begin + j, rows, block.stride, first + j, products(j), n);
    }
  }
}
