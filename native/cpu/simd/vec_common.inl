// What follows from the operations of one instruction set.

constexpr int kLanesD = kLanes / 2;

WN_INLINE Vec operator+(Vec a, Vec b) {
  return add(a, b);
}
WN_INLINE Vec operator-(Vec a, Vec b) {
  return sub(a, b);
}
WN_INLINE Vec operator*(Vec a, Vec b) {
  return mul(a, b);
}
WN_INLINE Vec operator/(Vec a, Vec b) {
  return div(a, b);
}
WN_INLINE VecD operator+(VecD a, VecD b) {
  return add(a, b);
}
WN_INLINE VecD operator-(VecD a, VecD b) {
  return sub(a, b);
}
WN_INLINE VecD operator*(VecD a, VecD b) {
  return mul(a, b);
}
WN_INLINE VecD operator/(VecD a, VecD b) {
  return div(a, b);
}

// x with its origin hidden: clang compares lanes just widened from float16 as float16, one at a time with branches.
WN_INLINE Vec opaque(Vec x) {
#if defined(__clang__) && (defined(WN_ISA_AVX2) || defined(WN_ISA_AVX512))
  asm("" : "+v"(x.r));
#endif
  return x;
}

// The sum of the lanes, pairwise, in an order that depends on the lane count only; so is that of a VecD.
WN_INLINE float sum(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// Elements of dtype D at `index` of an array, as float32; stores round to nearest even.
template <core::DType D>
WN_INLINE Vec loadAs(const void* base, int64_t index) {
  if constexpr (D == core::DType::kFloat32) return load(static_cast<const float*>(base) + index);
  if constexpr (D == core::DType::kFloat16) return loadHalf(static_cast<const uint16_t*>(base) + index);
  if constexpr (D == core::DType::kBFloat16) return loadBFloat(static_cast<const uint16_t*>(base) + index);
}
template <core::DType D>
WN_INLINE Vec loadAsN(const void* base, int64_t index, int n) {
  if constexpr (D == core::DType::kFloat32) {
    return loadN(static_cast<const float*>(base) + index, n);
  } else {
    uint16_t lanes[kLanes] = {};
    const uint16_t* p = static_cast<const uint16_t*>(base) + index;
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return loadAs<D>(lanes, 0);
  }
}
template <core::DType D>
WN_INLINE void storeAs(void* base, int64_t index, Vec v) {
  if constexpr (D == core::DType::kFloat32) store(static_cast<float*>(base) + index, v);
  if constexpr (D == core::DType::kFloat16) storeHalf(static_cast<uint16_t*>(base) + index, v);
  if constexpr (D == core::DType::kBFloat16) storeBFloat(static_cast<uint16_t*>(base) + index, v);
}
template <core::DType D>
WN_INLINE void storeAsN(void* base, int64_t index, Vec v, int n) {
  if constexpr (D == core::DType::kFloat32) {
    storeN(static_cast<float*>(base) + index, v, n);
  } else {
    uint16_t lanes[kLanes];
    storeAs<D>(lanes, 0, v);
    uint16_t* p = static_cast<uint16_t*>(base) + index;
    for (int i = 0; i < n; ++i) p[i] = lanes[i];
  }
}
