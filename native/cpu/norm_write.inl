// Writes of the norm family: an element times its coefficient, by rows or by columns.

// Coefficients of kLanes elements.
template <Apply A>
struct Factor {
  Vec s;
  VecD aLow, aHigh, bLow, bHigh;

  // The same for every lane.
  WN_INLINE void broadcast(Coefficients by, int64_t k) {
    if constexpr (A == Apply::kScale) s = set(by.s[k]);
    if constexpr (A != Apply::kScale) aLow = aHigh = setD(by.a[k]);
    if constexpr (A == Apply::kGradient) bLow = bHigh = setD(by.b[k]);
  }
  WN_INLINE void load(Coefficients by, int64_t k) {
    if constexpr (A == Apply::kScale) s = loadN(by.s + k, kLanes);
    if constexpr (A != Apply::kScale) aLow = loadD(by.a + k), aHigh = loadD(by.a + k + kLanesD);
    if constexpr (A == Apply::kGradient) bLow = loadD(by.b + k), bHigh = loadD(by.b + k + kLanesD);
  }
  WN_INLINE Vec times(Vec v, Vec gradW) const {
    if constexpr (A == Apply::kScale) return v * s;
    if constexpr (A == Apply::kWideScale) return join(low(v) * aLow, high(v) * aHigh);
    if constexpr (A == Apply::kGradient) {
      return join(aLow * (low(gradW) - low(v) * bLow), aHigh * (high(gradW) - high(v) * bHigh));
    }
  }
};

template <Apply A, core::DType D>
WN_INLINE Vec loadGradient(const void* gradW, int64_t index) {
  if constexpr (A == Apply::kGradient) return loadAs<D>(gradW, index);
  return zero();
}
template <Apply A, core::DType D>
WN_INLINE Vec loadGradientN(const void* gradW, int64_t index, int n) {
  if constexpr (A == Apply::kGradient) return loadAsN<D>(gradW, index, n);
  return zero();
}

template <Apply A, core::DType D>
WN_INLINE void writePart(const void* v, const void* gradW, void* out, int64_t index, int n, const Factor<A>& factor) {
  storeAsN<D>(out, index, factor.times(loadAsN<D>(v, index, n), loadGradientN<A, D>(gradW, index, n)), n);
}
template <Apply A, core::DType D, bool kStream>
WN_INLINE void writeWhole(const void* v, const void* gradW, void* out, int64_t index, const Factor<A>& factor) {
  const Vec result = factor.times(loadAs<D>(v, index), loadGradient<A, D>(gradW, index));
  if constexpr (kStream) {
    streamAs<D>(out, index, result);
  } else {
    storeAs<D>(out, index, result);
  }
}

// Elements before `out` reaches the alignment of streaming stores; all of them where the element size forbids it.
template <core::DType D>
WN_INLINE int64_t lead(const void* out, int64_t begin, int64_t length) {
  constexpr int64_t kSize = D == core::DType::kFloat32 ? 4 : 2;
  constexpr int64_t kAlign = kSize == 4 ? kStreamAlign : (kStreamAlign + 1) / 2;
  const int64_t address = static_cast<int64_t>(reinterpret_cast<intptr_t>(out)) + begin * kSize;
  const int64_t elements = ((kAlign - address % kAlign) % kAlign) / kSize;
  return elements < length ? elements : length;
}

template <Apply A, core::DType D, bool kStream>
void writeRowsAs(const void* v, const void* gradW, void* out, Block block, Coefficients by) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const int64_t begin = block.offset + row * block.stride;
    Factor<A> factor;
    factor.broadcast(by, row);
    int64_t i = 0;
    if constexpr (kStream) {
      i = lead<D>(out, begin, block.length);
      if (i > 0) writePart<A, D>(v, gradW, out, begin, static_cast<int>(i), factor);
    }
    for (; i + kLanes <= block.length; i += kLanes) writeWhole<A, D, kStream>(v, gradW, out, begin + i, factor);
    if (i < block.length) writePart<A, D>(v, gradW, out, begin + i, static_cast<int>(block.length - i), factor);
  }
}

// Rows too short for vectors: each element's coefficient is spread over a tile, which is then one row of columns.
template <Apply A, core::DType D>
void writeShortRows(const void* v, const void* gradW, void* out, Block block, Coefficients by);

template <Apply A, core::DType D, bool kStream>
void writeColumnsAs(const void* v, const void* gradW, void* out, Block block, Coefficients by) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const int64_t begin = block.offset + row * block.stride;
    int64_t j = 0;
    if constexpr (kStream) {
      j = lead<D>(out, begin, block.length);
      if (j > 0) {
        Factor<A> factor;
        factor.load(by, 0);
        writePart<A, D>(v, gradW, out, begin, static_cast<int>(j), factor);
      }
    }
    for (; j + kLanes <= block.length; j += kLanes) {
      Factor<A> factor;
      factor.load(by, j);
      writeWhole<A, D, kStream>(v, gradW, out, begin + j, factor);
    }
    if (j < block.length) {
      Factor<A> factor;
      factor.load(by, j);
      writePart<A, D>(v, gradW, out, begin + j, static_cast<int>(block.length - j), factor);
    }
  }
}

template <Apply A, core::DType D>
void writeShortRows(const void* v, const void* gradW, void* out, Block block, Coefficients by) {
  float s[kTile + kLanes];
  double a[kTile + kLanes], b[kTile + kLanes];
  const int64_t step = kTile / block.length;
  for (int64_t row = 0; row < block.rows; row += step) {
    const int64_t rows = block.rows - row < step ? block.rows - row : step;
    int64_t i = 0;
    for (int64_t k = row; k < row + rows; ++k) {
      for (int64_t j = 0; j < block.length; ++j, ++i) {
        if constexpr (A == Apply::kScale) s[i] = by.s[k];
        if constexpr (A != Apply::kScale) a[i] = by.a[k];
        if constexpr (A == Apply::kGradient) b[i] = by.b[k];
      }
    }
    const Block tile{block.offset + row * block.length, 1, i, i};
    writeColumnsAs<A, D, false>(v, gradW, out, tile, Coefficients{s, a, b});
  }
}

template <Apply A, core::DType D>
void writeRows(const void* v, const void* gradW, void* out, Block block, Coefficients by, bool stream) {
  if (block.length < kShortRow && block.stride == block.length) {
    writeShortRows<A, D>(v, gradW, out, block, by);
  } else if (stream) {
    writeRowsAs<A, D, true>(v, gradW, out, block, by);
    streamFence();
  } else {
    writeRowsAs<A, D, false>(v, gradW, out, block, by);
  }
}
template <Apply A, core::DType D>
void writeColumns(const void* v, const void* gradW, void* out, Block block, Coefficients by, bool stream) {
  if (stream) {
    writeColumnsAs<A, D, true>(v, gradW, out, block, by);
    streamFence();
  } else {
    writeColumnsAs<A, D, false>(v, gradW, out, block, by);
  }
}
