// Whole rows, one at a time: summed, scaled and written while they are in the first-level cache. A row is summed before the
// one in front of it is written, so that the processor has work while stores drain; and nothing goes through memory in
// between, where it would wait behind them.

template <core::DType G>
WN_INLINE float gainOf(const void* g, int64_t index) {
  if constexpr (G == core::DType::kFloat32) return static_cast<const float*>(g)[index];
  if constexpr (G == core::DType::kFloat16) return core::halfToFloat(static_cast<const uint16_t*>(g)[index]);
  if constexpr (G == core::DType::kBFloat16) return core::bfloatToFloat(static_cast<const uint16_t*>(g)[index]);
}

WN_INLINE bool isOrdinary(float x) {
  const float size = __builtin_fabsf(x);
  return size >= kLeastNormal && size <= kLargest;
}

WN_INLINE double clampRow(double norm, double eps) {
  return eps > 0 && norm < eps ? eps : norm;
}

// What scales() and Apply::kScale do.
template <core::DType D, core::DType G>
int64_t normaliseRows(const void* v, const void* g, void* w, const Block& rows, int64_t first, double eps) {
  double squares = 0, next = 0, unused = 0;
  sumRow<Term::kSquare, D>(v, nullptr, nullptr, rows.offset, rows.length, next, unused);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int64_t begin = rows.offset + row * rows.stride;
    squares = next;
    next = 0;
    if (row + 1 < rows.rows) sumRow<Term::kSquare, D>(v, nullptr, nullptr, begin + rows.stride, rows.length, next, unused);
    const float norm = static_cast<float>(clampRow(__builtin_sqrt(squares), eps));
    const float gain = gainOf<G>(g, first + row);
    const float scale = gain / norm;
    if (!isOrdinary(norm) || !(isOrdinary(scale) || gain == 0)) return row;
    Factor<Apply::kScale> factor;
    factor.s = set(scale);
    writeRow<Apply::kScale, D, false, false>(v, nullptr, w, begin, rows.length, 0, {}, factor);
  }
  return rows.rows;
}

// What gradients() and Apply::kGradient do.
template <core::DType D, core::DType G>
int64_t differentiateRows(const void* gradW, const void* v, const void* g, void* gradV, void* gradG, const Block& rows, int64_t first,
                          double eps) {
  double squares = 0, product = 0, nextSquares = 0, nextProduct = 0;
  sumRow<Term::kSquareAndProduct, D>(v, gradW, nullptr, rows.offset, rows.length, nextSquares, nextProduct);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int64_t begin = rows.offset + row * rows.stride;
    squares = nextSquares;
    product = nextProduct;
    nextSquares = nextProduct = 0;
    if (row + 1 < rows.rows) {
      sumRow<Term::kSquareAndProduct, D>(v, gradW, nullptr, begin + rows.stride, rows.length, nextSquares, nextProduct);
    }
    if (!(squares > 0 && squares <= kLargestD)) return row;
    const double length = __builtin_sqrt(squares), norm = clampRow(length, eps);
    const double a = static_cast<double>(gainOf<G>(g, first + row)) / norm;
    const double b = eps > 0 && length < eps ? 0.0 : product / squares;
    storeAsN<G>(gradG, first + row, set(static_cast<float>(product / norm)), 1);
    writeGradientRow<D, false>(v, gradW, gradV, begin, rows.length, 0, a, b);
  }
  return rows.rows;
}
