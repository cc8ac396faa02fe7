// Sixteen float32 or eight float64 lanes (AVX-512 F, BW, DQ, VL). The operations are described in vec.h.

constexpr int kLanes = 16;
constexpr int kVectorRegisters = 32;
constexpr bool kFuses = true;

struct Vec {
  __m512 r;
};
struct VecD {
  __m512d r;
};
struct Mask {
  __mmask16 r;
};
struct MaskD {
  __mmask8 r;
};

WN_INLINE Vec zero() {
  return {_mm512_setzero_ps()};
}
WN_INLINE Vec set(float x) {
  return {_mm512_set1_ps(x)};
}
WN_INLINE Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
WN_INLINE void store(float* p, Vec v) {
  _mm512_storeu_ps(p, v.r);
}

WN_INLINE __mmask16 firstLanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}
WN_INLINE Vec loadN(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(firstLanes(n), p)};
}
WN_INLINE Vec broadcast(const float* p) {
  return set(*p);
}
WN_INLINE void storeN(float* p, Vec v, int n) {
  _mm512_mask_storeu_ps(p, firstLanes(n), v.r);
}

WN_INLINE Vec add(Vec a, Vec b) {
  return {_mm512_add_ps(a.r, b.r)};
}
WN_INLINE Vec sub(Vec a, Vec b) {
  return {_mm512_sub_ps(a.r, b.r)};
}
WN_INLINE Vec mul(Vec a, Vec b) {
  return {_mm512_mul_ps(a.r, b.r)};
}
WN_INLINE Vec div(Vec a, Vec b) {
  return {_mm512_div_ps(a.r, b.r)};
}
WN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.r, b.r, c.r)};
}
WN_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.r, b.r)};
}
WN_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.r, b.r)};
}
WN_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.r)};
}
WN_INLINE Vec abs(Vec a) {
  return {_mm512_abs_ps(a.r)};
}
WN_INLINE Mask less(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ)};
}
WN_INLINE Vec select(Mask m, Vec yes, Vec no) {
  return {_mm512_mask_blend_ps(m.r, no.r, yes.r)};
}
WN_INLINE bool any(Mask m) {
  return m.r != 0;
}

#if defined(__clang__)
WN_INLINE void accumulate(Vec& c, Vec a, Vec b) {
  c.r = _mm512_fmadd_ps(a.r, b.r, c.r);
}
#else
WN_INLINE void accumulate(Vec& c, Vec a, Vec b) {
  asm("vfmadd231ps %1,%2,%0" : "+v"(c.r) : "v"(a.r), "v"(b.r));
}
#endif

WN_INLINE void zip(Vec a, Vec b, Vec& lo, Vec& hi) {
  const __m512i l = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i h = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  lo = {_mm512_permutex2var_ps(a.r, l, b.r)};
  hi = {_mm512_permutex2var_ps(a.r, h, b.r)};
}
WN_INLINE void unzip(Vec a, Vec b, Vec& even, Vec& odd) {
  const __m512i e = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i o = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  even = {_mm512_permutex2var_ps(a.r, e, b.r)};
  odd = {_mm512_permutex2var_ps(a.r, o, b.r)};
}

WN_INLINE VecD zeroD() {
  return {_mm512_setzero_pd()};
}
WN_INLINE VecD setD(double x) {
  return {_mm512_set1_pd(x)};
}
WN_INLINE VecD loadD(const double* p) {
  return {_mm512_loadu_pd(p)};
}
WN_INLINE void storeD(double* p, VecD v) {
  _mm512_storeu_pd(p, v.r);
}
WN_INLINE VecD add(VecD a, VecD b) {
  return {_mm512_add_pd(a.r, b.r)};
}
WN_INLINE VecD sub(VecD a, VecD b) {
  return {_mm512_sub_pd(a.r, b.r)};
}
WN_INLINE VecD mul(VecD a, VecD b) {
  return {_mm512_mul_pd(a.r, b.r)};
}
WN_INLINE VecD div(VecD a, VecD b) {
  return {_mm512_div_pd(a.r, b.r)};
}
WN_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return {_mm512_fmadd_pd(a.r, b.r, c.r)};
}
WN_INLINE VecD min(VecD a, VecD b) {
  return {_mm512_min_pd(a.r, b.r)};
}
WN_INLINE VecD max(VecD a, VecD b) {
  return {_mm512_max_pd(a.r, b.r)};
}
WN_INLINE VecD sqrt(VecD a) {
  return {_mm512_sqrt_pd(a.r)};
}
WN_INLINE double sum(VecD v) {
  const __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(v.r), _mm512_extractf64x4_pd(v.r, 1));
  const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
  return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}
WN_INLINE MaskD less(VecD a, VecD b) {
  return {_mm512_cmp_pd_mask(a.r, b.r, _CMP_LT_OQ)};
}
WN_INLINE VecD select(MaskD m, VecD yes, VecD no) {
  return {_mm512_mask_blend_pd(m.r, no.r, yes.r)};
}
WN_INLINE bool any(MaskD m) {
  return m.r != 0;
}
WN_INLINE VecD bitAnd(VecD a, VecD b) {
  return {_mm512_and_pd(a.r, b.r)};
}
WN_INLINE VecD bitOr(VecD a, VecD b) {
  return {_mm512_or_pd(a.r, b.r)};
}
WN_INLINE VecD bitXor(VecD a, VecD b) {
  return {_mm512_xor_pd(a.r, b.r)};
}
template <int Bits>
WN_INLINE VecD shiftLeft(VecD a) {
  return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.r), Bits))};
}
template <int Bits>
WN_INLINE VecD shiftRight(VecD a) {
  return {_mm512_castsi512_pd(_mm512_srli_epi64(_mm512_castpd_si512(a.r), Bits))};
}

WN_INLINE VecD low(Vec v) {
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(v.r))};
}
WN_INLINE VecD high(Vec v) {
  return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(v.r, 1))};
}
WN_INLINE Vec join(VecD lo, VecD hi) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(lo.r)), _mm512_cvtpd_ps(hi.r), 1)};
}
WN_INLINE VecD loadWide(const float* p) {
  return {_mm512_cvtps_pd(_mm256_loadu_ps(p))};
}
WN_INLINE void storeWide(float* p, VecD v) {
  _mm256_storeu_ps(p, _mm512_cvtpd_ps(v.r));
}

WN_INLINE Vec loadHalf(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
WN_INLINE void storeHalf(uint16_t* p, Vec v) {
#if defined(__clang__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v.r, _MM_FROUND_TO_NEAREST_INT));
#else
  // One instruction; GCC would convert into a register, which takes a shuffle, and store that.
  asm("vcvtps2ph %2,%1,%0" : "=m"(*reinterpret_cast<__m256i_u*>(p)) : "v"(v.r), "i"(_MM_FROUND_TO_NEAREST_INT));
#endif
}
WN_INLINE Vec loadBFloat(const uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
WN_INLINE void storeBFloat(uint16_t* p, Vec v) {
  const __m512i bits = _mm512_castps_si512(v.r);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 isNan = _mm512_cmp_ps_mask(v.r, v.r, _CMP_UNORD_Q);
  const __m512i top = _mm512_srli_epi32(_mm512_mask_blend_epi32(isNan, rounded, quiet), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(top));
}
