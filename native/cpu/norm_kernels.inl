// The norm family: kernels of cpu/norm_kernels.h.

// The order matters.
// clang-format off
#include "cpu/simd/memory.inl"
#include "cpu/norm_sum.inl"
#include "cpu/norm_write.inl"
#include "cpu/norm_rows.inl"
// clang-format on

// Float64 values at p, the first n of them: the others read as 1, whose root and reciprocal are harmless.
WN_INLINE VecD loadSome(const double* p, int64_t n) {
  if (n >= kLanesD) return loadD(p);
  double lanes[kLanesD];
  for (int i = 0; i < kLanesD; ++i) lanes[i] = i < n ? p[i] : 1.0;
  return loadD(lanes);
}
WN_INLINE void storeSome(double* p, VecD v, int64_t n) {
  if (n >= kLanesD) return storeD(p, v);
  double lanes[kLanesD];
  storeD(lanes, v);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
WN_INLINE Vec normOf(VecD lo, VecD hi) {
  return join(sqrt(lo), sqrt(hi));
}

void norms(const double* squares, int64_t count, float* n) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const Vec norm = normOf(loadSome(squares + i, left), loadSome(squares + i + kLanesD, left - kLanesD));
    storeN(n + i, norm, static_cast<int>(left < kLanes ? left : kLanes));
  }
}

// The norm with eps applied, before rounding. A sum below the least positive float64 is 0.
WN_INLINE MaskD isZero(VecD squares) {
  return less(squares, setD(5e-324));
}
WN_INLINE VecD clampNorm(VecD squares, double eps) {
  const VecD norm = sqrt(squares);
  return eps > 0 ? select(less(norm, setD(eps)), setD(eps), norm) : norm;
}

// Where v · s would lose digits: n or s outside float32's normal range, other than s = 0 from g = 0.
WN_INLINE bool anyWide(Vec norm, Vec gain, Vec scale) {
  const Vec size = abs(scale);
  const Vec vanishing = select(less(size, set(kLeastNormal)), abs(gain), zero());
  return any(less(zero(), vanishing)) || any(less(set(kLargest), size)) || any(less(norm, set(kLeastNormal))) ||
         any(less(set(kLargest), norm));
}

template <core::DType G>
bool scales(const double* squares, const void* g, int64_t first, int64_t count, double eps, float* s) {
  bool normal = true;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const int lanes = static_cast<int>(left < kLanes ? left : kLanes);
    const VecD lo = loadSome(squares + i, left), hi = loadSome(squares + i + kLanesD, left - kLanesD);
    Vec gain = loadAsN<G>(g, first + i, lanes);
    Vec norm = join(clampNorm(lo, eps), clampNorm(hi, eps));
    if (eps < 0) {
      const Vec absent = join(select(isZero(lo), setD(1), zeroD()), select(isZero(hi), setD(1), zeroD()));
      const Mask zeroRow = less(zero(), absent);
      gain = select(zeroRow, zero(), gain);
      norm = select(zeroRow, set(1), norm);
    }
    const Vec scale = gain / norm;
    normal = normal && !anyWide(norm, gain, scale);
    storeN(s + i, scale, lanes);
  }
  return normal;
}

// kLanesD of the coefficients; `gain` in float64. Returns gradG in float64.
WN_INLINE VecD gradientsOf(VecD squares, VecD product, VecD gain, double eps, VecD& a, VecD& b) {
  const VecD norm = clampNorm(squares, eps);
  a = gain / norm;
  b = product / squares;
  VecD gradG = product / norm;
  if (eps < 0) {
    const MaskD zeroRow = isZero(squares);
    a = select(zeroRow, zeroD(), a);
    b = select(zeroRow, zeroD(), b);
    gradG = select(zeroRow, zeroD(), gradG);
  } else if (eps > 0) {
    // The clamp holds n still: v's own direction has no part in the gradient.
    b = select(less(sqrt(squares), setD(eps)), zeroD(), b);
  }
  return gradG;
}

template <core::DType G>
void gradients(const double* squares, const double* products, const void* g, void* gradG, int64_t first, int64_t count, double eps,
               double* a, double* b) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const int lanes = static_cast<int>(left < kLanes ? left : kLanes);
    const Vec gain = loadAsN<G>(g, first + i, lanes);
    VecD a0, b0, a1, b1;
    const VecD lo = gradientsOf(loadSome(squares + i, left), loadSome(products + i, left), low(gain), eps, a0, b0);
    const VecD hi = gradientsOf(loadSome(squares + i + kLanesD, left - kLanesD), loadSome(products + i + kLanesD, left - kLanesD),
                                high(gain), eps, a1, b1);
    storeSome(a + i, a0, left);
    storeSome(a + i + kLanesD, a1, left - kLanesD);
    storeSome(b + i, b0, left);
    storeSome(b + i + kLanesD, b1, left - kLanesD);
    storeAsN<G>(gradG, first + i, join(lo, hi), lanes);
  }
}

#define WN_DTYPES(kernel, kind) \
  {kernel<kind, core::DType::kFloat32>, kernel<kind, core::DType::kFloat16>, kernel<kind, core::DType::kBFloat16>}

extern const NormKernels normKernels = {
    {{WN_DTYPES(sumRows, Term::kSquare), WN_DTYPES(sumColumns, Term::kSquare)},
     {WN_DTYPES(sumRows, Term::kValue), WN_DTYPES(sumColumns, Term::kValue)},
     {WN_DTYPES(sumRows, Term::kSquareAndProduct), WN_DTYPES(sumColumns, Term::kSquareAndProduct)}},
    {{WN_DTYPES(writeRows, Apply::kScale), WN_DTYPES(writeColumns, Apply::kScale)},
     {WN_DTYPES(writeRows, Apply::kWideScale), WN_DTYPES(writeColumns, Apply::kWideScale)},
     {WN_DTYPES(writeRows, Apply::kGradient), WN_DTYPES(writeColumns, Apply::kGradient)}},
    addRuns,
    spreadFloats,
    spreadDoubles,
    repeatFloats,
    repeatDoubles,
    norms,
    {scales<core::DType::kFloat32>, scales<core::DType::kFloat16>, scales<core::DType::kBFloat16>},
    {gradients<core::DType::kFloat32>, gradients<core::DType::kFloat16>, gradients<core::DType::kBFloat16>},
    {normaliseRows<core::DType::kFloat32>, normaliseRows<core::DType::kFloat16>, normaliseRows<core::DType::kBFloat16>},
    {differentiateRows<core::DType::kFloat32>, differentiateRows<core::DType::kFloat16>, differentiateRows<core::DType::kBFloat16>},
};

#undef WN_DTYPES
