// Eight float32 or four float64 lanes (AVX2, FMA, F16C). The operations are described in vec.h.

constexpr int kLanes = 8;
constexpr int kVectorRegisters = 16;
constexpr bool kFuses = true;

struct Vec {
  __m256 r;
};
struct VecD {
  __m256d r;
};
struct Mask {
  __m256 r;
};
struct MaskD {
  __m256d r;
};

WN_INLINE Vec zero() {
  return {_mm256_setzero_ps()};
}
WN_INLINE Vec set(float x) {
  return {_mm256_set1_ps(x)};
}
WN_INLINE Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
WN_INLINE void store(float* p, Vec v) {
  _mm256_storeu_ps(p, v.r);
}

WN_INLINE __m256i firstLanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
WN_INLINE Vec loadN(const float* p, int n) {
  return {_mm256_maskload_ps(p, firstLanes(n))};
}
WN_INLINE void storeN(float* p, Vec v, int n) {
  _mm256_maskstore_ps(p, firstLanes(n), v.r);
}

WN_INLINE Vec add(Vec a, Vec b) {
  return {_mm256_add_ps(a.r, b.r)};
}
WN_INLINE Vec sub(Vec a, Vec b) {
  return {_mm256_sub_ps(a.r, b.r)};
}
WN_INLINE Vec mul(Vec a, Vec b) {
  return {_mm256_mul_ps(a.r, b.r)};
}
WN_INLINE Vec div(Vec a, Vec b) {
  return {_mm256_div_ps(a.r, b.r)};
}
WN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.r, b.r, c.r)};
}
WN_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.r, b.r)};
}
WN_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.r, b.r)};
}
WN_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.r)};
}
WN_INLINE Vec abs(Vec a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.r)};
}
WN_INLINE Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.r, b.r, _CMP_LT_OQ)};
}
WN_INLINE Vec select(Mask m, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.r, yes.r, m.r)};
}
WN_INLINE bool any(Mask m) {
  return _mm256_movemask_ps(m.r) != 0;
}

// Written out and in this order: with sixteen registers a broadcast moved up by the compiler spills an accumulator.
WN_INLINE void accumulate(Vec& c, Vec a, Vec b) {
  asm volatile("vfmadd231ps %1,%2,%0" : "+x"(c.r) : "x"(a.r), "x"(b.r));
}
WN_INLINE Vec broadcast(const float* p) {
  Vec v;
  asm volatile("vbroadcastss %1,%0" : "=x"(v.r) : "m"(*p));
  return v;
}

WN_INLINE void zip(Vec a, Vec b, Vec& lo, Vec& hi) {
  const __m256 l = _mm256_unpacklo_ps(a.r, b.r), h = _mm256_unpackhi_ps(a.r, b.r);
  lo = {_mm256_permute2f128_ps(l, h, 0x20)};
  hi = {_mm256_permute2f128_ps(l, h, 0x31)};
}
WN_INLINE void unzip(Vec a, Vec b, Vec& even, Vec& odd) {
  const __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a.r, b.r, 0x88));
  const __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(a.r, b.r, 0xdd));
  even = {_mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8))};
  odd = {_mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8))};
}

WN_INLINE VecD zeroD() {
  return {_mm256_setzero_pd()};
}
WN_INLINE VecD setD(double x) {
  return {_mm256_set1_pd(x)};
}
WN_INLINE VecD loadD(const double* p) {
  return {_mm256_loadu_pd(p)};
}
WN_INLINE void storeD(double* p, VecD v) {
  _mm256_storeu_pd(p, v.r);
}
WN_INLINE VecD add(VecD a, VecD b) {
  return {_mm256_add_pd(a.r, b.r)};
}
WN_INLINE VecD sub(VecD a, VecD b) {
  return {_mm256_sub_pd(a.r, b.r)};
}
WN_INLINE VecD mul(VecD a, VecD b) {
  return {_mm256_mul_pd(a.r, b.r)};
}
WN_INLINE VecD div(VecD a, VecD b) {
  return {_mm256_div_pd(a.r, b.r)};
}
WN_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return {_mm256_fmadd_pd(a.r, b.r, c.r)};
}
WN_INLINE VecD min(VecD a, VecD b) {
  return {_mm256_min_pd(a.r, b.r)};
}
WN_INLINE VecD max(VecD a, VecD b) {
  return {_mm256_max_pd(a.r, b.r)};
}
WN_INLINE VecD sqrt(VecD a) {
  return {_mm256_sqrt_pd(a.r)};
}
WN_INLINE double sum(VecD v) {
  const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(v.r), _mm256_extractf128_pd(v.r, 1));
  return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}
WN_INLINE MaskD less(VecD a, VecD b) {
  return {_mm256_cmp_pd(a.r, b.r, _CMP_LT_OQ)};
}
WN_INLINE VecD select(MaskD m, VecD yes, VecD no) {
  return {_mm256_blendv_pd(no.r, yes.r, m.r)};
}
WN_INLINE bool any(MaskD m) {
  return _mm256_movemask_pd(m.r) != 0;
}
WN_INLINE VecD bitAnd(VecD a, VecD b) {
  return {_mm256_and_pd(a.r, b.r)};
}
WN_INLINE VecD bitOr(VecD a, VecD b) {
  return {_mm256_or_pd(a.r, b.r)};
}
WN_INLINE VecD bitXor(VecD a, VecD b) {
  return {_mm256_xor_pd(a.r, b.r)};
}
template <int Bits>
WN_INLINE VecD shiftLeft(VecD a) {
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.r), Bits))};
}
template <int Bits>
WN_INLINE VecD shiftRight(VecD a) {
  return {_mm256_castsi256_pd(_mm256_srli_epi64(_mm256_castpd_si256(a.r), Bits))};
}

WN_INLINE VecD low(Vec v) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(v.r))};
}
WN_INLINE VecD high(Vec v) {
  return {_mm256_cvtps_pd(_mm256_extractf128_ps(v.r, 1))};
}
WN_INLINE Vec join(VecD lo, VecD hi) {
  return {_mm256_set_m128(_mm256_cvtpd_ps(hi.r), _mm256_cvtpd_ps(lo.r))};
}
WN_INLINE VecD loadWide(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p))};
}
WN_INLINE void storeWide(float* p, VecD v) {
  _mm_storeu_ps(p, _mm256_cvtpd_ps(v.r));
}

WN_INLINE Vec loadHalf(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
WN_INLINE void storeHalf(uint16_t* p, Vec v) {
#if defined(__clang__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.r, _MM_FROUND_TO_NEAREST_INT));
#else
  // One instruction; GCC would convert into a register, which takes a shuffle, and store that.
  asm("vcvtps2ph %2,%1,%0" : "=m"(*reinterpret_cast<__m128i_u*>(p)) : "x"(v.r), "i"(_MM_FROUND_TO_NEAREST_INT));
#endif
}
WN_INLINE Vec loadBFloat(const uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}
WN_INLINE void storeBFloat(uint16_t* p, Vec v) {
  const __m256i bits = _mm256_castps_si256(v.r);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i isNan = _mm256_castps_si256(_mm256_cmp_ps(v.r, v.r, _CMP_UNORD_Q));
  const __m256i top = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, isNan), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(top, top), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
