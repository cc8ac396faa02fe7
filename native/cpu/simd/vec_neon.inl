// Four float32 or two float64 lanes (arm64 NEON). The operations are described in vec.h.

constexpr int kLanes = 4;
constexpr int kVectorRegisters = 32;
constexpr bool kFuses = true;

struct Vec {
  float32x4_t r;
};
struct VecD {
  float64x2_t r;
};
struct Mask {
  uint32x4_t r;
};
struct MaskD {
  uint64x2_t r;
};

WN_INLINE Vec zero() {
  return {vdupq_n_f32(0)};
}
WN_INLINE Vec set(float x) {
  return {vdupq_n_f32(x)};
}
WN_INLINE Vec load(const float* p) {
  return {vld1q_f32(p)};
}
WN_INLINE void store(float* p, Vec v) {
  vst1q_f32(p, v.r);
}

WN_INLINE Vec loadN(const float* p, int n) {
  float lanes[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return {vld1q_f32(lanes)};
}
WN_INLINE Vec broadcast(const float* p) {
  return {vld1q_dup_f32(p)};
}
WN_INLINE void storeN(float* p, Vec v, int n) {
  float lanes[4];
  vst1q_f32(lanes, v.r);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}

WN_INLINE Vec add(Vec a, Vec b) {
  return {vaddq_f32(a.r, b.r)};
}
WN_INLINE Vec sub(Vec a, Vec b) {
  return {vsubq_f32(a.r, b.r)};
}
WN_INLINE Vec mul(Vec a, Vec b) {
  return {vmulq_f32(a.r, b.r)};
}
WN_INLINE Vec div(Vec a, Vec b) {
  return {vdivq_f32(a.r, b.r)};
}
WN_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.r, a.r, b.r)};
}
WN_INLINE void accumulate(Vec& c, Vec a, Vec b) {
  c.r = vfmaq_f32(c.r, a.r, b.r);
}
WN_INLINE Vec sqrt(Vec a) {
  return {vsqrtq_f32(a.r)};
}
WN_INLINE Vec abs(Vec a) {
  return {vabsq_f32(a.r)};
}
WN_INLINE Mask less(Vec a, Vec b) {
  return {vcltq_f32(a.r, b.r)};
}
WN_INLINE Vec select(Mask m, Vec yes, Vec no) {
  return {vbslq_f32(m.r, yes.r, no.r)};
}
WN_INLINE Vec min(Vec a, Vec b) {
  return select(less(a, b), a, b);
}
WN_INLINE Vec max(Vec a, Vec b) {
  return select(less(b, a), a, b);
}
WN_INLINE bool any(Mask m) {
  return vmaxvq_u32(m.r) != 0;
}

WN_INLINE void zip(Vec a, Vec b, Vec& lo, Vec& hi) {
  lo = {vzip1q_f32(a.r, b.r)};
  hi = {vzip2q_f32(a.r, b.r)};
}
WN_INLINE void unzip(Vec a, Vec b, Vec& even, Vec& odd) {
  even = {vuzp1q_f32(a.r, b.r)};
  odd = {vuzp2q_f32(a.r, b.r)};
}

WN_INLINE VecD zeroD() {
  return {vdupq_n_f64(0)};
}
WN_INLINE VecD setD(double x) {
  return {vdupq_n_f64(x)};
}
WN_INLINE VecD loadD(const double* p) {
  return {vld1q_f64(p)};
}
WN_INLINE void storeD(double* p, VecD v) {
  vst1q_f64(p, v.r);
}
WN_INLINE VecD add(VecD a, VecD b) {
  return {vaddq_f64(a.r, b.r)};
}
WN_INLINE VecD sub(VecD a, VecD b) {
  return {vsubq_f64(a.r, b.r)};
}
WN_INLINE VecD mul(VecD a, VecD b) {
  return {vmulq_f64(a.r, b.r)};
}
WN_INLINE VecD div(VecD a, VecD b) {
  return {vdivq_f64(a.r, b.r)};
}
WN_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return {vfmaq_f64(c.r, a.r, b.r)};
}
WN_INLINE VecD sqrt(VecD a) {
  return {vsqrtq_f64(a.r)};
}
WN_INLINE double sum(VecD v) {
  return vgetq_lane_f64(v.r, 0) + vgetq_lane_f64(v.r, 1);
}
WN_INLINE MaskD less(VecD a, VecD b) {
  return {vcltq_f64(a.r, b.r)};
}
WN_INLINE VecD select(MaskD m, VecD yes, VecD no) {
  return {vbslq_f64(m.r, yes.r, no.r)};
}
WN_INLINE VecD min(VecD a, VecD b) {
  return select(less(a, b), a, b);
}
WN_INLINE VecD max(VecD a, VecD b) {
  return select(less(b, a), a, b);
}
WN_INLINE bool any(MaskD m) {
  return vmaxvq_u32(vreinterpretq_u32_u64(m.r)) != 0;
}
WN_INLINE VecD bitAnd(VecD a, VecD b) {
  return {vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a.r), vreinterpretq_u64_f64(b.r)))};
}
WN_INLINE VecD bitOr(VecD a, VecD b) {
  return {vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a.r), vreinterpretq_u64_f64(b.r)))};
}
WN_INLINE VecD bitXor(VecD a, VecD b) {
  return {vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(a.r), vreinterpretq_u64_f64(b.r)))};
}
template <int Bits>
WN_INLINE VecD shiftLeft(VecD a) {
  return {vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(a.r), Bits))};
}
template <int Bits>
WN_INLINE VecD shiftRight(VecD a) {
  return {vreinterpretq_f64_u64(vshrq_n_u64(vreinterpretq_u64_f64(a.r), Bits))};
}

WN_INLINE VecD low(Vec v) {
  return {vcvt_f64_f32(vget_low_f32(v.r))};
}
WN_INLINE VecD high(Vec v) {
  return {vcvt_high_f64_f32(v.r)};
}
WN_INLINE Vec join(VecD lo, VecD hi) {
  return {vcvt_high_f32_f64(vcvt_f32_f64(lo.r), hi.r)};
}
WN_INLINE VecD loadWide(const float* p) {
  return {vcvt_f64_f32(vld1_f32(p))};
}
WN_INLINE void storeWide(float* p, VecD v) {
  vst1_f32(p, vcvt_f32_f64(v.r));
}

WN_INLINE Vec loadHalf(const uint16_t* p) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))};
}
WN_INLINE void storeHalf(uint16_t* p, Vec v) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v.r)));
}
WN_INLINE Vec loadBFloat(const uint16_t* p) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))};
}
WN_INLINE void storeBFloat(uint16_t* p, Vec v) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v.r);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  const uint32x4_t ordered = vceqq_f32(v.r, v.r);
  vst1_u16(p, vshrn_n_u32(vbslq_u32(ordered, rounded, quiet), 16));
}
