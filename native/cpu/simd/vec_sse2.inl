// Four float32 or two float64 lanes (SSE2, what every x86-64 has). The operations are described in vec.h.
// There is no fused multiply-add here: fma() and accumulate() round twice.

constexpr int kLanes = 4;
constexpr int kVectorRegisters = 16;
constexpr bool kFuses = false;

struct Vec {
  __m128 r;
};
struct VecD {
  __m128d r;
};
struct Mask {
  __m128 r;
};
struct MaskD {
  __m128d r;
};

WN_INLINE Vec zero() {
  return {_mm_setzero_ps()};
}
WN_INLINE Vec set(float x) {
  return {_mm_set1_ps(x)};
}
WN_INLINE Vec load(const float* p) {
  return {_mm_loadu_ps(p)};
}
WN_INLINE void store(float* p, Vec v) {
  _mm_storeu_ps(p, v.r);
}

WN_INLINE Vec loadN(const float* p, int n) {
  float lanes[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return {_mm_loadu_ps(lanes)};
}
WN_INLINE Vec broadcast(const float* p) {
  return set(*p);
}
WN_INLINE void storeN(float* p, Vec v, int n) {
  float lanes[4];
  _mm_storeu_ps(lanes, v.r);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}

WN_INLINE Vec add(Vec a, Vec b) {
  return {_mm_add_ps(a.r, b.r)};
}
WN_INLINE Vec sub(Vec a, Vec b) {
  return {_mm_sub_ps(a.r, b.r)};
}
WN_INLINE Vec mul(Vec a, Vec b) {
  return {_mm_mul_ps(a.r, b.r)};
}
WN_INLINE Vec div(Vec a, Vec b) {
  return {_mm_div_ps(a.r, b.r)};
}
WN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm_add_ps(_mm_mul_ps(a.r, b.r), c.r)};
}
WN_INLINE void accumulate(Vec& c, Vec a, Vec b) {
  c = fma(a, b, c);
}
WN_INLINE Vec min(Vec a, Vec b) {
  return {_mm_min_ps(a.r, b.r)};
}
WN_INLINE Vec max(Vec a, Vec b) {
  return {_mm_max_ps(a.r, b.r)};
}
WN_INLINE Vec sqrt(Vec a) {
  return {_mm_sqrt_ps(a.r)};
}
WN_INLINE Vec abs(Vec a) {
  return {_mm_andnot_ps(_mm_set1_ps(-0.0f), a.r)};
}
WN_INLINE Mask less(Vec a, Vec b) {
  return {_mm_cmplt_ps(a.r, b.r)};
}
WN_INLINE Vec select(Mask m, Vec yes, Vec no) {
  return {_mm_or_ps(_mm_and_ps(m.r, yes.r), _mm_andnot_ps(m.r, no.r))};
}
WN_INLINE bool any(Mask m) {
  return _mm_movemask_ps(m.r) != 0;
}

WN_INLINE void zip(Vec a, Vec b, Vec& lo, Vec& hi) {
  lo = {_mm_unpacklo_ps(a.r, b.r)};
  hi = {_mm_unpackhi_ps(a.r, b.r)};
}
WN_INLINE void unzip(Vec a, Vec b, Vec& even, Vec& odd) {
  even = {_mm_shuffle_ps(a.r, b.r, 0x88)};
  odd = {_mm_shuffle_ps(a.r, b.r, 0xdd)};
}

WN_INLINE VecD zeroD() {
  return {_mm_setzero_pd()};
}
WN_INLINE VecD setD(double x) {
  return {_mm_set1_pd(x)};
}
WN_INLINE VecD loadD(const double* p) {
  return {_mm_loadu_pd(p)};
}
WN_INLINE void storeD(double* p, VecD v) {
  _mm_storeu_pd(p, v.r);
}
WN_INLINE VecD add(VecD a, VecD b) {
  return {_mm_add_pd(a.r, b.r)};
}
WN_INLINE VecD sub(VecD a, VecD b) {
  return {_mm_sub_pd(a.r, b.r)};
}
WN_INLINE VecD mul(VecD a, VecD b) {
  return {_mm_mul_pd(a.r, b.r)};
}
WN_INLINE VecD div(VecD a, VecD b) {
  return {_mm_div_pd(a.r, b.r)};
}
WN_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return {_mm_add_pd(_mm_mul_pd(a.r, b.r), c.r)};
}
WN_INLINE VecD min(VecD a, VecD b) {
  return {_mm_min_pd(a.r, b.r)};
}
WN_INLINE VecD max(VecD a, VecD b) {
  return {_mm_max_pd(a.r, b.r)};
}
WN_INLINE VecD sqrt(VecD a) {
  return {_mm_sqrt_pd(a.r)};
}
WN_INLINE double sum(VecD v) {
  return _mm_cvtsd_f64(_mm_add_sd(v.r, _mm_unpackhi_pd(v.r, v.r)));
}
WN_INLINE MaskD less(VecD a, VecD b) {
  return {_mm_cmplt_pd(a.r, b.r)};
}
WN_INLINE VecD select(MaskD m, VecD yes, VecD no) {
  return {_mm_or_pd(_mm_and_pd(m.r, yes.r), _mm_andnot_pd(m.r, no.r))};
}
WN_INLINE bool any(MaskD m) {
  return _mm_movemask_pd(m.r) != 0;
}
WN_INLINE VecD bitAnd(VecD a, VecD b) {
  return {_mm_and_pd(a.r, b.r)};
}
WN_INLINE VecD bitOr(VecD a, VecD b) {
  return {_mm_or_pd(a.r, b.r)};
}
WN_INLINE VecD bitXor(VecD a, VecD b) {
  return {_mm_xor_pd(a.r, b.r)};
}
template <int Bits>
WN_INLINE VecD shiftLeft(VecD a) {
  return {_mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(a.r), Bits))};
}
template <int Bits>
WN_INLINE VecD shiftRight(VecD a) {
  return {_mm_castsi128_pd(_mm_srli_epi64(_mm_castpd_si128(a.r), Bits))};
}

WN_INLINE VecD low(Vec v) {
  return {_mm_cvtps_pd(v.r)};
}
WN_INLINE VecD high(Vec v) {
  return {_mm_cvtps_pd(_mm_movehl_ps(v.r, v.r))};
}
WN_INLINE Vec join(VecD lo, VecD hi) {
  return {_mm_movelh_ps(_mm_cvtpd_ps(lo.r), _mm_cvtpd_ps(hi.r))};
}
WN_INLINE VecD loadWide(const float* p) {
  return {_mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
WN_INLINE void storeWide(float* p, VecD v) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_castps_si128(_mm_cvtpd_ps(v.r)));
}

WN_INLINE __m128i blend(__m128i mask, __m128i yes, __m128i no) {
  return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}
WN_INLINE __m128i widen(const uint16_t* p) {
  return _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), _mm_setzero_si128());
}
// Stores the low 16 bits of each lane.
WN_INLINE void storeLow16(uint16_t* p, __m128i v) {
  const __m128i extended = _mm_srai_epi32(_mm_slli_epi32(v, 16), 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(extended, extended));
}

WN_INLINE Vec loadHalf(const uint16_t* p) {
  const __m128i h = widen(p);
  const __m128i magnitude = _mm_and_si128(h, _mm_set1_epi32(0x7fff));
  const __m128i sign = _mm_slli_epi32(_mm_xor_si128(h, magnitude), 16);
  // The product with 2^112 moves the exponent, normalising subnormals exactly.
  const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
  const __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff)), _mm_set1_epi32(0x7f800000));
  const __m128i quiet = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7c00)), _mm_set1_epi32(0x400000));
  const __m128i fixed = _mm_or_si128(_mm_castps_si128(scaled), _mm_or_si128(special, quiet));
  return {_mm_castsi128_ps(_mm_or_si128(fixed, sign))};
}
WN_INLINE void storeHalf(uint16_t* p, Vec v) {
  const __m128i bits = _mm_castps_si128(v.r);
  const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
  const __m128i sign = _mm_srli_epi32(_mm_xor_si128(bits, magnitude), 16);
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
  const __m128i biased = _mm_add_epi32(magnitude, _mm_set1_epi32(0xfff - 0x38000000));
  const __m128i normal = _mm_srli_epi32(_mm_add_epi32(biased, odd), 13);
  const __m128 aligned = _mm_add_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0.5f));
  const __m128i tiny = _mm_sub_epi32(_mm_castps_si128(aligned), _mm_set1_epi32(0x3f000000));
  const __m128i payload = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(0x3ff));
  const __m128i nan = _mm_or_si128(payload, _mm_set1_epi32(0x7e00));
  __m128i h = blend(_mm_cmpgt_epi32(_mm_set1_epi32(0x38800000), magnitude), tiny, normal);
  h = blend(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fefff)), _mm_set1_epi32(0x7c00), h);
  h = blend(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000)), nan, h);
  storeLow16(p, _mm_or_si128(h, sign));
}
WN_INLINE Vec loadBFloat(const uint16_t* p) {
  return {_mm_castsi128_ps(_mm_slli_epi32(widen(p), 16))};
}
WN_INLINE void storeBFloat(uint16_t* p, Vec v) {
  const __m128i bits = _mm_castps_si128(v.r);
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(bits, _mm_add_epi32(odd, _mm_set1_epi32(0x7fff)));
  const __m128i quiet = _mm_or_si128(bits, _mm_set1_epi32(0x400000));
  const __m128i isNan = _mm_castps_si128(_mm_cmpunord_ps(v.r, v.r));
  storeLow16(p, _mm_srli_epi32(blend(isNan, quiet, rounded), 16));
}
