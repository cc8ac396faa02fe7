// kLanes float64 in two vectors, in order. Every operation is done on one half, then the other: two chains of dependent
// operations run side by side, whichever order the compiler prefers, and each constant is loaded once.

struct Wide {
  VecD lo, hi;
};
struct MaskWide {
  MaskD lo, hi;
};

WN_INLINE Wide setWide(double x) {
  const VecD v = setD(x);
  return {v, v};
}
WN_INLINE Wide widen(Vec v) {
  return {low(v), high(v)};
}
WN_INLINE Vec join(Wide v) {
  return join(v.lo, v.hi);
}
WN_INLINE Wide operator+(Wide a, Wide b) {
  return {add(a.lo, b.lo), add(a.hi, b.hi)};
}
WN_INLINE Wide operator-(Wide a, Wide b) {
  return {sub(a.lo, b.lo), sub(a.hi, b.hi)};
}
WN_INLINE Wide operator*(Wide a, Wide b) {
  return {mul(a.lo, b.lo), mul(a.hi, b.hi)};
}
WN_INLINE Wide operator/(Wide a, Wide b) {
  return {div(a.lo, b.lo), div(a.hi, b.hi)};
}
WN_INLINE Wide fma(Wide a, Wide b, Wide c) {
  return {fma(a.lo, b.lo, c.lo), fma(a.hi, b.hi, c.hi)};
}
WN_INLINE Wide min(Wide a, Wide b) {
  return {min(a.lo, b.lo), min(a.hi, b.hi)};
}
WN_INLINE Wide max(Wide a, Wide b) {
  return {max(a.lo, b.lo), max(a.hi, b.hi)};
}
WN_INLINE MaskWide less(Wide a, Wide b) {
  return {less(a.lo, b.lo), less(a.hi, b.hi)};
}
WN_INLINE Wide select(MaskWide m, Wide yes, Wide no) {
  return {select(m.lo, yes.lo, no.lo), select(m.hi, yes.hi, no.hi)};
}
WN_INLINE Wide bitAnd(Wide a, Wide b) {
  return {bitAnd(a.lo, b.lo), bitAnd(a.hi, b.hi)};
}
WN_INLINE Wide bitOr(Wide a, Wide b) {
  return {bitOr(a.lo, b.lo), bitOr(a.hi, b.hi)};
}
WN_INLINE Wide bitXor(Wide a, Wide b) {
  return {bitXor(a.lo, b.lo), bitXor(a.hi, b.hi)};
}
template <int Bits>
WN_INLINE Wide shiftLeft(Wide a) {
  return {shiftLeft<Bits>(a.lo), shiftLeft<Bits>(a.hi)};
}
template <int Bits>
WN_INLINE Wide shiftRight(Wide a) {
  return {shiftRight<Bits>(a.lo), shiftRight<Bits>(a.hi)};
}
