// Whole rows, one at a time: summed, scaled and written while they are in the first-level cache. A row is summed before the
// one in front of it is written, so that the processor has work while stores drain; and nothing goes through memory in
// between, where it would wait behind them.

// The dtype of g is looked up for each row: kernels for every pair of dtypes would be a tenth of the binary.
__attribute__((noinline)) float gainOf(const void* g, core::DType dtype, int64_t index) {
  if (dtype == core::DType::kFloat32) return static_cast<const float*>(g)[index];
  const uint16_t bits = static_cast<const uint16_t*>(g)[index];
  return dtype == core::DType::kFloat16 ? core::halfToFloat(bits) : core::bfloatToFloat(bits);
}

__attribute__((noinline)) void storeOne(void* out, core::DType dtype, int64_t index, float value) {
  switch (dtype) {
    case core::DType::kFloat16:
      return storeAsN<core::DType::kFloat16>(out, index, set(value), 1);
    case core::DType::kBFloat16:
      return storeAsN<core::DType::kBFloat16>(out, index, set(value), 1);
    default:
      static_cast<float*>(out)[index] = value;
  }
}

WN_INLINE bool isOrdinary(float x) {
  const float size = __builtin_fabsf(x);
  return size >= kLeastNormal && size <= kLargest;
}

WN_INLINE double clampRow(double norm, double eps) {
  return eps > 0 && norm < eps ? eps : norm;
}

// What scales() and Apply::kScale do.
template <core::DType D>
int64_t normaliseRows(const void* v, const void* g, core::DType gType, void* w, const Block& rows, int64_t first, double eps) {
  double next = 0, unused = 0;
  for (int64_t row = -1; row < rows.rows; ++row) {
    const int64_t begin = rows.offset + row * rows.stride;
    const double squares = next;
    next = 0;
    if (row + 1 < rows.rows) sumRow<Term::kSquare, D>(v, nullptr, nullptr, begin + rows.stride, rows.length, next, unused);
    if (row < 0) continue;
    const float norm = static_cast<float>(clampRow(__builtin_sqrt(squares), eps));
    const float gain = gainOf(g, gType, first + row);
    const float scale = gain / norm;
    if (!isOrdinary(norm) || !(isOrdinary(scale) || gain == 0)) return row;
    Factor<Apply::kScale> factor;
    factor.s = set(scale);
    writeRow<Apply::kScale, D, false, false>(v, nullptr, w, begin, rows.length, 0, {}, factor);
  }
  return rows.rows;
}

// What gradients() and Apply::kGradient do.
template <core::DType D>
int64_t differentiateRows(const void* gradW, const void* v, const void* g, core::DType gType, void* gradV, void* gradG, const Block& rows,
                          int64_t first, double eps) {
  double nextSquares = 0, nextProduct = 0;
  for (int64_t row = -1; row < rows.rows; ++row) {
    const int64_t begin = rows.offset + row * rows.stride;
    const double squares = nextSquares, product = nextProduct;
    nextSquares = nextProduct = 0;
    if (row + 1 < rows.rows) {
      sumRow<Term::kSquareAndProduct, D>(v, gradW, nullptr, begin + rows.stride, rows.length, nextSquares, nextProduct);
    }
    if (row < 0) continue;
    if (!(squares > 0 && squares <= kLargestD)) return row;
    const double length = __builtin_sqrt(squares), norm = clampRow(length, eps);
    const double a = static_cast<double>(gainOf(g, gType, first + row)) / norm;
    const double b = eps > 0 && length < eps ? 0.0 : product / squares;
    storeOne(gradG, gType, first + row, static_cast<float>(product / norm));
    writeGradientRow<D, false>(v, gradW, gradV, begin, rows.length, 0, a, b);
  }
  return rows.rows;
}
