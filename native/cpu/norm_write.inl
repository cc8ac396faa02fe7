// Writes of the norm family: an element times its coefficient, by rows or by columns.

constexpr float kLeastNormal = 0x1p-126f;
constexpr float kLargest = 0x1.fffffep127f;
constexpr double kLargestD = 0x1.fffffffffffffp1023;

// Coefficients of kLanes elements.
template <Apply A>
struct Factor {
  Vec s;
  Wide a, minusB;

  // The same for every lane.
  WN_INLINE void broadcast(Coefficients by, int64_t k) {
    if constexpr (A == Apply::kScale) s = set(by.s[k]);
    if constexpr (A != Apply::kScale) a.lo = a.hi = setD(by.a[k]);
    if constexpr (A == Apply::kGradient) minusB.lo = minusB.hi = setD(-by.b[k]);
  }
  WN_INLINE void load(Coefficients by, int64_t k) {
    if constexpr (A == Apply::kScale) s = loadN(by.s + k, kLanes);
    if constexpr (A != Apply::kScale) a = {loadD(by.a + k), loadD(by.a + k + kLanesD)};
    if constexpr (A == Apply::kGradient) {
      minusB = {zeroD() - loadD(by.b + k), zeroD() - loadD(by.b + k + kLanesD)};
    }
  }
};

// a · (gradW − v · b) of a row as a · gradW − c · v with c = a · b, where a and c are each the sum of two float32 numbers. The
// rests are added first, so all that is lost is half an ulp of a · gradW, and half an ulp of the result as ever.
template <>
struct Factor<Apply::kPairGradient> {
  Vec a, aRest, minusC, minusCRest;
  Vec odd;  // NaN where a result was not finite

  // False where a rest could underflow.
  WN_INLINE bool broadcast(double gain, double b) {
    const double c = gain * b;
    if (!isMiddling(gain) || !(isMiddling(c) || c == 0)) return false;
    split(gain, a, aRest);
    split(-c, minusC, minusCRest);
    odd = zero();
    return true;
  }
  WN_INLINE bool finite() const { return sum(low(odd) + high(odd)) == 0; }

 private:
  static WN_INLINE bool isMiddling(double x) {
    const double size = __builtin_fabs(x);
    return size >= 0x1p-90 && size <= 0x1p90;
  }
  static WN_INLINE void split(double x, Vec& whole, Vec& rest) {
    const float rounded = static_cast<float>(x);
    whole = set(rounded);
    rest = set(static_cast<float>(x - static_cast<double>(rounded)));
  }
};

WN_INLINE Vec pairResult(Vec v, Vec gradW, Factor<Apply::kPairGradient>& factor) {
  const Vec result = fma(factor.minusC, v, fma(factor.a, gradW, fma(factor.aRest, gradW, factor.minusCRest * v)));
  factor.odd = fma(result, zero(), factor.odd);
  return result;
}

template <Apply A, core::DType D>
WN_INLINE Wide wideResult(const void* v, const void* gradW, int64_t index, const Factor<A>& factor) {
  const Wide x = loadWide<D>(v, index);
  if constexpr (A == Apply::kGradient) {
    const Wide y = loadWide<D>(gradW, index);
    return {factor.a.lo * fma(x.lo, factor.minusB.lo, y.lo), factor.a.hi * fma(x.hi, factor.minusB.hi, y.hi)};
  }
  return {x.lo * factor.a.lo, x.hi * factor.a.hi};
}

// The results of kLanes elements.
template <Apply A, core::DType D>
WN_INLINE Vec resultOf(const void* v, const void* gradW, int64_t index, Factor<A>& factor) {
  if constexpr (A == Apply::kScale) {
    return loadAs<D>(v, index) * factor.s;
  } else if constexpr (A == Apply::kPairGradient) {
    return pairResult(loadAs<D>(v, index), loadAs<D>(gradW, index), factor);
  } else {
    const Wide wide = wideResult<A, D>(v, gradW, index, factor);
    return join(wide.lo, wide.hi);
  }
}

template <Apply A, core::DType D, bool kStream>
WN_INLINE void writeWhole(const void* v, const void* gradW, void* out, int64_t index, Factor<A>& factor) {
  if constexpr (kStream) {
    streamAs<D>(out, index, resultOf<A, D>(v, gradW, index, factor));
  } else if constexpr (A == Apply::kScale || A == Apply::kPairGradient) {
    storeAs<D>(out, index, resultOf<A, D>(v, gradW, index, factor));
  } else {
    storeWide<D>(out, index, wideResult<A, D>(v, gradW, index, factor));
  }
}
// The first n elements; reads a whole vector of each tensor.
template <Apply A, core::DType D>
WN_INLINE void writePart(const void* v, const void* gradW, void* out, int64_t index, int n, Factor<A>& factor) {
  // Elements of others must not look odd.
  if constexpr (A == Apply::kPairGradient) {
    return storeAsN<D>(out, index, pairResult(loadPart<D>(v, index, n), loadPart<D>(gradW, index, n), factor), n);
  }
  storeAsN<D>(out, index, resultOf<A, D>(v, gradW, index, factor), n);
}

constexpr int64_t kLineBytes = 64;
constexpr int64_t kWrittenAhead = 128;  // elements: stores wait for their lines in turn, fetches do not

// Elements before `out` reaches a new cache line.
template <core::DType D>
WN_INLINE int64_t lead(const void* out, int64_t begin, int64_t length) {
  constexpr int64_t kSize = D == core::DType::kFloat32 ? 4 : 2;
  const int64_t address = static_cast<int64_t>(reinterpret_cast<intptr_t>(out)) + begin * kSize;
  const int64_t elements = (kLineBytes - address % kLineBytes) % kLineBytes / kSize;
  return elements < length ? elements : length;
}

// Elements [from, to) of a row that starts at `begin`; kColumns: the coefficients are by element, else `factor` serves all.
template <Apply A, core::DType D, bool kColumns>
WN_INLINE void writeSome(const void* v, const void* gradW, void* out, int64_t begin, int64_t from, int64_t to, Coefficients by,
                         Factor<A>& factor) {
  int64_t i = from;
  for (; i + kLanes <= to; i += kLanes) {
    if constexpr (kColumns) factor.load(by, i);
    writeWhole<A, D, false>(v, gradW, out, begin + i, factor);
  }
  if (i < to) {
    if constexpr (kColumns) factor.load(by, i);
    writePart<A, D>(v, gradW, out, begin + i, static_cast<int>(to - i), factor);
  }
}

template <Apply A, core::DType D>
WN_INLINE void fetchAhead(const void* v, const void* gradW, int64_t index, int64_t ahead) {
  if (ahead == 0) return;
  prefetch<D>(v, index + ahead);
  if constexpr (A == Apply::kGradient) prefetch<D>(gradW, index + ahead);
}

// One row. Streaming covers whole cache lines only, plain stores the rest of it: a line that meets both kinds is slow.
template <Apply A, core::DType D, bool kStream, bool kColumns>
WN_INLINE void writeRow(const void* v, const void* gradW, void* out, int64_t begin, int64_t length, int64_t ahead, Coefficients by,
                        Factor<A>& factor) {
  if constexpr (kStream) {
    constexpr int64_t kLine = kLineBytes / (D == core::DType::kFloat32 ? 4 : 2);
    int64_t i = lead<D>(out, begin, length);
    writeSome<A, D, kColumns>(v, gradW, out, begin, 0, i, by, factor);
    for (; i + kLine <= length; i += kLine) {
      fetchAhead<A, D>(v, gradW, begin + i, ahead);
      for (int64_t j = i; j < i + kLine; j += kLanes) {
        if constexpr (kColumns) factor.load(by, j);
        writeWhole<A, D, true>(v, gradW, out, begin + j, factor);
      }
    }
    writeSome<A, D, kColumns>(v, gradW, out, begin, i, length, by, factor);
  } else if (length < kLanes) {
    writeSome<A, D, kColumns>(v, gradW, out, begin, 0, length, by, factor);
  } else {
    // Ends in a whole vector that overlaps the one before: the same values are written twice.
    int64_t i = 0;
    for (; i + kLanes <= length; i += kLanes) {
      fetchAhead<A, D>(v, gradW, begin + i, ahead);
      prefetchForWrite<D>(out, begin + i + kWrittenAhead);
      if constexpr (kColumns) factor.load(by, i);
      writeWhole<A, D, false>(v, gradW, out, begin + i, factor);
    }
    if (i < length) writeSome<A, D, kColumns>(v, gradW, out, begin, length - kLanes, length, by, factor);
  }
}

// A row of kGradient, in float32 where that is as good: what comes out not finite is done again.
template <core::DType D, bool kStream>
WN_INLINE void writeGradientRow(const void* v, const void* gradW, void* out, int64_t begin, int64_t length, int64_t ahead, double a,
                                double b) {
  if constexpr (kFuses) {
    Factor<Apply::kPairGradient> pair;
    if (pair.broadcast(a, b)) {
      writeRow<Apply::kPairGradient, D, kStream, false>(v, gradW, out, begin, length, ahead, {}, pair);
      if (pair.finite()) return;
    }
  }
  Factor<Apply::kGradient> factor;
  factor.broadcast({nullptr, &a, &b}, 0);
  writeRow<Apply::kGradient, D, kStream, false>(v, gradW, out, begin, length, ahead, {}, factor);
}

template <Apply A, core::DType D, bool kStream>
void writeColumnsAs(const void* v, const void* gradW, void* out, const Block& block, const Coefficients& by) {
  for (int64_t row = 0; row < block.rows; ++row) {
    Factor<A> factor;
    writeRow<A, D, kStream, true>(v, gradW, out, block.offset + row * block.stride, block.length, 0, by, factor);
  }
}

template <Apply A, core::DType D, bool kStream>
void writeRowsAs(const void* v, const void* gradW, void* out, const Block& block, int64_t ahead, const Coefficients& by) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const int64_t begin = block.offset + row * block.stride;
    if constexpr (A == Apply::kGradient) {
      writeGradientRow<D, kStream>(v, gradW, out, begin, block.length, ahead, by.a[row], by.b[row]);
    } else {
      Factor<A> factor;
      factor.broadcast(by, row);
      writeRow<A, D, kStream, false>(v, gradW, out, begin, block.length, ahead, by, factor);
    }
  }
}

// Rows shorter than a vector, one after the other: with the coefficients spread over their elements, one row of columns.
template <Apply A, core::DType D, bool kStream>
void writeShortRows(const void* v, const void* gradW, void* out, const Block& block, int64_t ahead, const Coefficients& by) {
  float s[kTile + kPadding];
  double a[kTile + kPadding], b[kTile + kPadding];
  const int64_t step = kTile / block.length;
  for (int64_t row = 0; row < block.rows; row += step) {
    const int64_t rows = block.rows - row < step ? block.rows - row : step;
    if constexpr (A == Apply::kScale) spreadFloats(by.s + row, rows, block.length, s);
    if constexpr (A != Apply::kScale) spreadDoubles(by.a + row, rows, block.length, a);
    if constexpr (A == Apply::kGradient) spreadDoubles(by.b + row, rows, block.length, b);
    const int64_t n = rows * block.length;
    const Coefficients spread{s, a, b};
    Factor<A> factor;
    writeRow<A, D, kStream, true>(v, gradW, out, block.offset + row * block.length, n, ahead, spread, factor);
  }
}

template <Apply A, core::DType D, bool kStream>
void writeRowsOrShort(const void* v, const void* gradW, void* out, const Block& block, int64_t ahead, const Coefficients& by) {
  if (block.length < kLanes && block.stride == block.length) {
    writeShortRows<A, D, kStream>(v, gradW, out, block, ahead, by);
  } else {
    writeRowsAs<A, D, kStream>(v, gradW, out, block, ahead, by);
  }
}

template <Apply A, core::DType D>
void writeRows(const void* v, const void* gradW, void* out, const Block& block, const Coefficients& by, Stores stores) {
  if (!stores.stream || !kCanStream) return writeRowsOrShort<A, D, false>(v, gradW, out, block, stores.ahead, by);
  writeRowsOrShort<A, D, true>(v, gradW, out, block, stores.ahead, by);
  streamFence();
}
template <Apply A, core::DType D>
void writeColumns(const void* v, const void* gradW, void* out, const Block& block, const Coefficients& by, Stores stores) {
  if (!stores.stream || !kCanStream) return writeColumnsAs<A, D, false>(v, gradW, out, block, by);
  writeColumnsAs<A, D, true>(v, gradW, out, block, by);
  streamFence();
}
