// Memory access beyond plain loads and stores: float32 values as float64, parts of vectors, stores around the caches.

#if defined(WN_ISA_AVX512)
WN_INLINE VecD widenHalf(const float* p) {
  return {_mm512_cvtps_pd(_mm256_loadu_ps(p))};
}
WN_INLINE VecD widenFloat16(const uint16_t* p) {
  return {_mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
WN_INLINE void narrowHalf(float* p, VecD v) {
  _mm256_storeu_ps(p, _mm512_cvtpd_ps(v.r));
}
#elif defined(WN_ISA_AVX2)
WN_INLINE VecD widenHalf(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p))};
}
WN_INLINE void narrowHalf(float* p, VecD v) {
  _mm_storeu_ps(p, _mm256_cvtpd_ps(v.r));
}
#endif

template <core::DType D>
WN_INLINE Wide loadWide(const void* base, int64_t index) {
#if defined(WN_ISA_AVX512) || defined(WN_ISA_AVX2)
  // Straight from memory: taking the upper half out of a register costs a shuffle.
  if constexpr (D == core::DType::kFloat32) {
    const float* const p = static_cast<const float*>(base) + index;
    return {widenHalf(p), widenHalf(p + kLanesD)};
  }
#endif
#if defined(WN_ISA_AVX512)
  // The same here; AVX2's narrower loads cost more than its shuffle.
  if constexpr (D == core::DType::kFloat16) {
    const uint16_t* const p = static_cast<const uint16_t*>(base) + index;
    return {widenFloat16(p), widenFloat16(p + kLanesD)};
  }
#endif
  const Vec v = loadAs<D>(base, index);
  return {low(v), high(v)};
}
template <core::DType D>
WN_INLINE void storeWide(void* base, int64_t index, Wide v) {
#if defined(WN_ISA_AVX512) || defined(WN_ISA_AVX2)
  if constexpr (D == core::DType::kFloat32) {
    float* const p = static_cast<float*>(base) + index;
    narrowHalf(p, v.lo);
    narrowHalf(p + kLanesD, v.hi);
    return;
  }
#endif
  storeAs<D>(base, index, join(v.lo, v.hi));
}

// The first n < kLanes elements, zeros after them. Reads a whole vector: for tensors' memory only, which has readable
// bytes past its end.
template <core::DType D>
WN_INLINE Vec loadPart(const void* base, int64_t index, int n) {
  static constexpr float kIndex[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return select(less(load(kIndex), set(static_cast<float>(n))), loadAs<D>(base, index), zero());
}
template <core::DType D>
WN_INLINE Wide loadWidePart(const void* base, int64_t index, int n) {
  const Vec v = loadPart<D>(base, index, n);
  return {low(v), high(v)};
}

// Streaming stores, for outputs far larger than the caches. The address must be a multiple of the bytes stored;
// streamFence() orders them before what other threads see next. Plain stores where the instruction set has none.
#if defined(WN_ISA_NEON)
constexpr bool kCanStream = false;
WN_INLINE void streamFence() {}
template <core::DType D>
WN_INLINE void streamAs(void* base, int64_t index, Vec v) {
  storeAs<D>(base, index, v);
}
#else
constexpr bool kCanStream = true;
WN_INLINE void streamFence() {
  _mm_sfence();
}
WN_INLINE void streamFloats(float* p, Vec v) {
#if defined(WN_ISA_AVX512)
  _mm512_stream_ps(p, v.r);
#elif defined(WN_ISA_AVX2)
  _mm256_stream_ps(p, v.r);
#else
  _mm_stream_ps(p, v.r);
#endif
}
// kLanes elements of 16 bits, rounded into `lanes`. SSE2 has no streaming store of 8 bytes.
WN_INLINE void streamHalves(uint16_t* p, const uint16_t* lanes) {
#if defined(WN_ISA_AVX512)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes)));
#elif defined(WN_ISA_AVX2)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), _mm_loadu_si128(reinterpret_cast<const __m128i*>(lanes)));
#else
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lanes)));
#endif
}
template <core::DType D>
WN_INLINE void streamAs(void* base, int64_t index, Vec v) {
  if constexpr (D == core::DType::kFloat32) {
    streamFloats(static_cast<float*>(base) + index, v);
  } else {
    alignas(64) uint16_t lanes[kLanes];
    storeAs<D>(lanes, 0, v);
    streamHalves(static_cast<uint16_t*>(base) + index, lanes);
  }
}
#endif

// Brings the line of an element that will be read soon towards the second-level cache; any address will do.
template <core::DType D>
WN_INLINE void prefetch(const void* base, int64_t index) {
  constexpr int64_t kSize = D == core::DType::kFloat32 ? 4 : 2;
  __builtin_prefetch(static_cast<const char*>(base) + index * kSize, 0, 2);
}

// Brings the line of an element that will be written soon into the first-level cache; any address will do.
template <core::DType D>
WN_INLINE void prefetchForWrite(void* base, int64_t index) {
  constexpr int64_t kSize = D == core::DType::kFloat32 ? 4 : 2;
  __builtin_prefetch(static_cast<char*>(base) + index * kSize, 1, 3);
}

// to[i · inner … (i + 1) · inner) = from[i] for i < count. Writes whole vectors: up to kLanes numbers past the end.
WN_INLINE void spreadFloats(const float* from, int64_t count, int64_t inner, float* to) {
  for (int64_t i = 0; i < count; ++i, to += inner) {
    const Vec x = set(from[i]);
    for (int64_t j = 0; j < inner; j += kLanes) store(to + j, x);
  }
}
WN_INLINE void spreadDoubles(const double* from, int64_t count, int64_t inner, double* to) {
  for (int64_t i = 0; i < count; ++i, to += inner) {
    const VecD x = setD(from[i]);
    for (int64_t j = 0; j < inner; j += kLanesD) storeD(to + j, x);
  }
}
// All of `count` numbers, `times` times in a row. Reads and writes whole vectors: up to kLanes numbers past the ends.
WN_INLINE void repeatFloats(const float* from, int64_t count, int64_t times, float* to) {
  for (int64_t t = 0; t < times; ++t, to += count) {
    for (int64_t j = 0; j < count; j += kLanes) store(to + j, load(from + j));
  }
}
WN_INLINE void repeatDoubles(const double* from, int64_t count, int64_t times, double* to) {
  for (int64_t t = 0; t < times; ++t, to += count) {
    for (int64_t j = 0; j < count; j += kLanesD) storeD(to + j, loadD(from + j));
  }
}
