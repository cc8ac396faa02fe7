// Backward of rows cut into parts, as in weight_norm_split.metal: wnb_split_sum leaves each part's dots, wnb_split_apply adds
// them up and writes its part of gradV. Grid [parts, rows] threadgroups for both.
// Traffic: gradW and v read twice, gradV written (20 bytes an element in float32, 10 in the half types), 32 bytes a part.
#include "norm_backward.h"

struct SplitParams {  // SplitParams in norm_plan.h
  ulong columns;
  uint parts, length;
  NormRule rule;
};
template <typename T, int W>
inline LoopedPair<T, W, 4> part_of(device const T* gradW, device const T* v, constant SplitParams& p, uint row, uint part,
                                   thread const Place& at) {
  const ulong start = ulong(part) * p.length;
  const uint count = uint(min(ulong(p.length), p.columns - start)) / W;
  const ulong offset = ulong(row) * p.columns + start;
  LoopedPair<T, W, 4> values = {{gradW + offset, at.thread_index, at.threads, count}, {v + offset, at.thread_index, at.threads, count}};
  return values;
}

template <typename T, int W>
[[kernel]] void wnb_split_sum(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]],
                              device PartialDots* partial [[buffer(2)]], constant SplitParams& p [[buffer(3)]],
                              uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[96];
  const Place at = PLACE;
  LoopedPair<T, W, 4> values = part_of<T, W>(gradW, v, p, group.y, group.x, at);
  const RangedDots r = group_dots(values, part, at);
  if (thread_index == 0) {
    store_partial(partial + ulong(group.y) * p.parts + group.x, r);
  }
}

// The dots of a whole row, whose parts may stand at different powers of two: by one simdgroup.
inline RangedDots gather(device const PartialDots* partial, uint parts, uint lane) {
  int kv = kZeroRow, kg = kZeroRow;
  for (uint i = lane; i < parts; i += 32) {
    kv = min(kv, partial[i].kv);
    kg = min(kg, partial[i].kg);
  }
  kv = kZeroRow - int(simd_max(uint(kZeroRow - kv)));
  kg = kZeroRow - int(simd_max(uint(kZeroRow - kg)));
  Dots sum = zero_dots();
  for (uint i = lane; i < parts; i += 32) {
    const float fv = pow2(max(kv - partial[i].kv, -126)), fg = pow2(max(kg - partial[i].kg, -126));
    const float4 s = partial[i].sums;
    const Dots d = {float2(s.x, s.y) * fv * fv, float2(s.z, s.w) * fv * fg, partial[i].gg * fg * fg};
    sum = add_dots(sum, d);
  }
  const RangedDots total = {simd_add(sum, 32), kv, kg};
  return total;
}

template <typename T, int W>
[[kernel]] void wnb_split_apply(device const T* gradW [[buffer(0)]], device const T* v [[buffer(1)]], device const uchar* g [[buffer(2)]],
                                device T* gradV [[buffer(3)]], device uchar* gradG [[buffer(4)]],
                                device const PartialDots* partial [[buffer(5)]], constant SplitParams& p [[buffer(6)]],
                                uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float4 shared[2];
  const Place at = PLACE;
  const uint row = group.y, index = p.parts - 1 - group.x;
  // The first chunks are on their way while the partial sums are added up.
  LoopedPair<T, W, 4> values = part_of<T, W>(gradW, v, p, row, index, at);
  typename Chunk<T, W>::raw d[4], x[4];
  values.v.load(values.v.last(), x);
  values.gradW.load(values.v.last(), d);
  if (simdgroup == 0) {
    const float gain = load_any(g, p.rule.gType, row);
    const RangedDots dots = gather(partial + ulong(row) * p.parts, p.parts, lane);
    if (lane == 0) {
      const Gradient found = gradient_of(dots, gain, p.rule);
      pack_gradient(found, shared);
      if (group.x == 0) store_gain(gradG, p.rule.gType, row, found.gradG);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const Gradient gradient = unpack_gradient(shared[0], shared[1]);
  values.store(gradV + ulong(row) * p.columns + ulong(index) * p.length, gradient, d, x);
}

#define SPLIT(name, T, W)                                                                                     \
  template [[host_name("wnb_split_sum_" name)]] [[kernel]] decltype(wnb_split_sum<T, W>) wnb_split_sum<T, W>; \
  template [[host_name("wnb_split_apply_" name)]] [[kernel]] decltype(wnb_split_apply<T, W>) wnb_split_apply<T, W>;
SPLIT("float32", float, 4)
SPLIT("float16", half, 8)
SPLIT("bfloat16", bf16, 8)
SPLIT("scalar_float32", float, 1)
SPLIT("scalar_float16", half, 1)
SPLIT("scalar_bfloat16", bf16, 1)
