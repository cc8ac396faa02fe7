// Rows of one operand copied into rows of another, in units of 2, 4, 8 or 16 bytes.
#pragma once
#include "common.h"

struct CopyRows {
  ulong rows, columns;            // units a row
  ulong from_stride, from_start;  // units
  ulong to_stride, to_start;
};

template <typename T>
[[kernel]] void copy_rows(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant CopyRows& p [[buffer(2)]],
                          uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    device const T* from = x + row * p.from_stride + p.from_start;
    device T* to = y + row * p.to_stride + p.to_start;
    for (ulong i = at.x; i < p.columns; i += grid.x) to[i] = from[i];
  }
}

template [[host_name("copy_rows_2")]] [[kernel]] decltype(copy_rows<ushort>) copy_rows<ushort>;
template [[host_name("copy_rows_4")]] [[kernel]] decltype(copy_rows<uint>) copy_rows<uint>;
template [[host_name("copy_rows_8")]] [[kernel]] decltype(copy_rows<uint2>) copy_rows<uint2>;
template [[host_name("copy_rows_16")]] [[kernel]] decltype(copy_rows<uint4>) copy_rows<uint4>;
