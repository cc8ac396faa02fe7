// Rows so long that one threadgroup each would leave the GPU idle: every row is cut into `parts`, in two dispatches.
//   wn_split_sum    grid [parts, rows] threadgroups; each leaves the squares of its part in `partial`
//   wn_split_apply  grid [parts, rows] threadgroups; each adds up its row's partials and scales its part of w. Parts run
//                   last to first, so the first ones meet what the sums left in the caches. Norm or scale alone: [1, rows].
// Traffic: two reads of v and one write of w (12 bytes an element in float32, 6 in the half types), 16 bytes a part.
// One read is the least possible only for rows that fit the threadgroup's registers.
#include "norm_rows.h"

struct SplitParams {  // SplitParams in norm_plan.h
  ulong columns;
  uint parts, length;  // elements a part, a multiple of W
  NormRule rule;
};

template <typename T, int W>
inline LoopedRow<T, W, 8> part_of(device const T* v, constant SplitParams& p, uint row, uint part, thread const Place& at) {
  const ulong start = ulong(part) * p.length;
  const uint length = uint(min(ulong(p.length), p.columns - start));
  LoopedRow<T, W, 8> values = {v + ulong(row) * p.columns + start, at.thread_index, at.threads, length / W};
  return values;
}

template <typename T, int W>
[[kernel]] void wn_split_sum(device const T* v [[buffer(0)]], device uint4* partial [[buffer(1)]], constant SplitParams& p [[buffer(2)]],
                             uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  LoopedRow<T, W, 8> values = part_of<T, W>(v, p, group.y, group.x, at);
  const RangedSum s = group_squares(values, part, at);
  if (thread_index == 0) {
    partial[ulong(group.y) * p.parts + group.x] = uint4(as_type<uint>(s.sum.x), as_type<uint>(s.sum.y), uint(s.k), 0u);
  }
}

// The sum of a row's partials, which may stand at different powers of two: by one simdgroup.
inline RangedSum gather(device const uint4* partial, uint parts, uint lane) {
  int k = kZeroRow;
  for (uint i = lane; i < parts; i += 32) k = min(k, int(partial[i].z));
  k = kZeroRow - int(simd_max(uint(kZeroRow - k)));
  float2 sum = float2(0.0f);
  for (uint i = lane; i < parts; i += 32) {
    const uint4 u = partial[i];
    const float factor = pow2(max(k - int(u.z), -126));
    sum = add_sums(sum, float2(as_type<float>(u.x), as_type<float>(u.y)) * factor * factor);
  }
  const RangedSum total = {simd_add(sum, 32), k};
  return total;
}

template <typename T, int W>
[[kernel]] void wn_split_apply(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]], device T* w [[buffer(2)]],
                               device float* statistic [[buffer(3)]], device const uint4* partial [[buffer(4)]],
                               constant SplitParams& p [[buffer(5)]], uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float4 shared[1];
  const Place at = PLACE;
  const uint row = group.y, index = p.parts - 1 - group.x;
  // The first chunks are on their way while the partial sums are added up.
  LoopedRow<T, W, 8> values = part_of<T, W>(v, p, row, index, at);
  typename Chunk<T, W>::raw c[8];
  if (p.rule.output == kOutputWeight) values.load(values.last(), c);
  if (simdgroup == 0) {
    const NormFinish finish = finish_of(g, row, p.rule);
    const RangedSum s = gather(partial + ulong(row) * p.parts, p.parts, lane);
    if (lane == 0) shared[0] = pack_scale(finish.of(norm_of(s)));
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const RowScale scale = unpack_scale(shared[0]);
  if (p.rule.output == kOutputWeight) {
    values.store(w + ulong(row) * p.columns + ulong(index) * p.length, scale, c);
  } else if (thread_index == 0) {
    statistic[row] = scale.s;
  }
}

#define SPLIT(name, T, W)                                                                                  \
  template [[host_name("wn_split_sum_" name)]] [[kernel]] decltype(wn_split_sum<T, W>) wn_split_sum<T, W>; \
  template [[host_name("wn_split_apply_" name)]] [[kernel]] decltype(wn_split_apply<T, W>) wn_split_apply<T, W>;
SPLIT("float32", float, 4)
SPLIT("float16", half, 8)
SPLIT("bfloat16", bf16, 8)
SPLIT("scalar_float32", float, 1)
SPLIT("scalar_float16", half, 1)
SPLIT("scalar_bfloat16", bf16, 1)
