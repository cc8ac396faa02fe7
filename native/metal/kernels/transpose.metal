// y = x with its axes permuted, after dropping and merging axes; elements are 2 or 4 bytes whatever they mean.
// transpose_rows: the last axis stays last; grid x over it, y over the others; threadgroup 256 shaped to the row.
// transpose_tiled: a 32 x 32 tile of (the axis contiguous in x) by (the axis contiguous in y) a threadgroup of 32 x 8
// threads (fewer rows where the GPU allows fewer), through threadgroup memory; grid x, y over tiles, z over the other axes.
// Traffic: 2 sizeof(T) bytes an element, the least possible; both sides run along memory.
#include "strided.h"

constant bool kWide [[function_constant(0)]];

struct TransposeRows {
  Axes axes;  // all but the last; first: strides in x
  ulong rows, columns;
};

template <typename T>
[[kernel]] void transpose_rows(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant TransposeRows& p [[buffer(2)]],
                               uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    const ulong start = offsets(kWide, row, p.axes).x;
    for (ulong i = at.x; i < p.columns; i += grid.x) y[row * p.columns + i] = x[start + i];
  }
}

struct TransposeTiled {
  Axes axes;  // neither tile axis; strides in x and in y
  ulong batch;
  ulong down, across;   // sizes: of the axis contiguous in x, of the one contiguous in y
  ulong down_stride;    // of the first, in y
  ulong across_stride;  // of the second, in x
};

template <typename T>
[[kernel]] void transpose_tiled(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant TransposeTiled& p [[buffer(2)]],
                                uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                                uint3 at [[thread_position_in_threadgroup]], uint3 threads [[threads_per_threadgroup]]) {
  threadgroup T tile[32][33];
  const uint tx = at.x;
  for (ulong batch = group.z; batch < p.batch; batch += groups.z) {
    const ulong2 start = offsets(kWide, batch, p.axes);
    for (uint ty = at.y; ty < 32; ty += threads.y) {
      const ulong across = ulong(group.y) * 32 + ty, down = ulong(group.x) * 32 + tx;
      if (across < p.across && down < p.down) tile[ty][tx] = x[start.x + across * p.across_stride + down];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint ty = at.y; ty < 32; ty += threads.y) {
      const ulong across = ulong(group.y) * 32 + tx, down = ulong(group.x) * 32 + ty;
      if (across < p.across && down < p.down) y[start.y + down * p.down_stride + across] = tile[tx][ty];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

template [[host_name("transpose_rows_2")]] [[kernel]] decltype(transpose_rows<ushort>) transpose_rows<ushort>;
template [[host_name("transpose_rows_4")]] [[kernel]] decltype(transpose_rows<uint>) transpose_rows<uint>;
template [[host_name("transpose_tiled_2")]] [[kernel]] decltype(transpose_tiled<ushort>) transpose_tiled<ushort>;
template [[host_name("transpose_tiled_4")]] [[kernel]] decltype(transpose_tiled<uint>) transpose_tiled<uint>;
