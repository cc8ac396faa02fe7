// Backward over any nest of kept and reduced axes that is too irregular for the columns kernel: one threadgroup a kept index.
// Grid: one threadgroup a norm. Traffic: gradW and v read twice, gradV written; what is not contiguous costs whole cache lines.
#include "norm_backward.h"
#include "norm_nest.h"

template <typename T>
struct NestPair {
  device const T* gradW;
  device const T* v;
  constant NestParams* p;
  ulong first, step;

  ulong offset(ulong i) const { return nest_offset(i, p->reducedSize, p->reducedStride); }
  Dots dots() const { return dots(1.0f, 1.0f); }
  void load() const {}
  Dots dots(float scaleV, float scaleG) const {
    DotSums<T, 1> sums;
    sums.clear();
    for (ulong i = first; i < p->reduced; i += step) sums.add(v[offset(i)], gradW[offset(i)], scaleV, scaleG);
    return sums.total();
  }
  uint peakV() const { return peak(v); }
  uint peakG() const { return peak(gradW); }
  uint peak(device const T* x) const {
    uint bits = 0;
    for (ulong i = first; i < p->reduced; i += step) bits = max(bits, chunk_peak<T, 1>(x[offset(i)]));
    return bits;
  }
};

template <typename T>
[[kernel]] void wnb_nest(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]], device const uchar* g [[buffer(2)]],
                         device T* gradV [[buffer(3)]], device uchar* gradG [[buffer(4)]], constant NestParams& p [[buffer(5)]],
                         uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[96];
  threadgroup float4 shared[2];
  const Place at = PLACE;
  const ulong base = nest_offset(group, p.keptSize, p.keptStride);
  NestPair<T> values = {gradW + base, v + base, &p, thread_index, threads};
  const Gradient gradient = group_gradient(values, g, gradG, group, p.rule, part, shared, at);
  for (ulong i = thread_index; i < p.reduced; i += threads) {
    const ulong j = values.offset(i);
    gradV[base + j] = narrow<T>(gradient.apply(widen(values.gradW[j]), widen(values.v[j])));
  }
}
INSTANTIATE(wnb_nest)
