// Stores that bypass the caches, for outputs far larger than them. The address must be a multiple of kStreamAlign bytes;
// streamFence() orders them before what other threads see next. Plain stores where the instruction set has none.

#if defined(WN_ISA_NEON)
constexpr int64_t kStreamAlign = 1;
WN_INLINE void streamFence() {}
template <core::DType D>
WN_INLINE void streamAs(void* base, int64_t index, Vec v) {
  storeAs<D>(base, index, v);
}
#else
constexpr int64_t kStreamAlign = kLanes * 4;
WN_INLINE void streamFence() { _mm_sfence(); }
WN_INLINE void streamFloats(float* p, Vec v) {
#if defined(WN_ISA_AVX512)
  _mm512_stream_ps(p, v.r);
#elif defined(WN_ISA_AVX2)
  _mm256_stream_ps(p, v.r);
#else
  _mm_stream_ps(p, v.r);
#endif
}
// kLanes elements of 16 bits that were rounded into `lanes`.
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
