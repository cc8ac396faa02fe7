// Weight norm over any nest of kept and reduced axes that no faster kernel takes (long inner runs under an outer axis, five axes and
// more): one threadgroup a kept index, element by element.
// Grid: one threadgroup a norm. Traffic: two reads of v and one write of w; what is not contiguous costs whole cache lines.
#include "norm_nest.h"

template <typename T>
struct NestRow {
  device const T* v;  // of this kept index
  constant NestParams* p;
  ulong first, step;

  float2 squares() const { return squares(1.0f); }
  void load() const {}
  float2 squares(float scale) const {
    Products<T, 1> sum;
    sum.clear();
    for (ulong i = first; i < p->reduced; i += step) {
      const float x = widen(v[nest_offset(i, p->reducedSize, p->reducedStride)]) * scale;
      sum.add(&x, &x);
    }
    return sum.total();
  }
  uint peak() const {
    uint bits = 0;
    for (ulong i = first; i < p->reduced; i += step) {
      const float x = widen(v[nest_offset(i, p->reducedSize, p->reducedStride)]);
      bits = max(bits, peak_bits<1>(&x));
    }
    return bits;
  }
  void store(device T* w, RowScale scale) const {
    for (ulong i = first; i < p->reduced; i += step) {
      const ulong offset = nest_offset(i, p->reducedSize, p->reducedStride);
      w[offset] = narrow<T>(scale.apply(widen(v[offset])));
    }
  }
};

template <typename T>
[[kernel]] void wn_nest(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]], device T* w [[buffer(2)]],
                        device float* statistic [[buffer(3)]], constant NestParams& p [[buffer(4)]],
                        uint group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const ulong base = nest_offset(group, p.keptSize, p.keptStride);
  NestRow<T> values = {v + base, &p, thread_index, threads};
  const RowScale scale = group_scale(values, finish_of(g, group, p.rule), part, at);
  if (p.rule.output == kOutputWeight) {
    values.store(w + base, scale);
  } else if (thread_index == 0) {
    statistic[group] = scale.s;
  }
}
INSTANTIATE(wn_nest)
