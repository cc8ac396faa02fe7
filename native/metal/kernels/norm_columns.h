// Norms over an outer axis: v as [batches, rows, columns], columns = kept * run, where a norm covers all rows and `run` neighbouring
// columns (run 1: plain columns). A threadgroup owns a strip of whole norms and walks all rows:
// thread = y * lanes + x holds W neighbouring columns x of the rows y, y + depth, ...
#pragma once
#include "norm.h"

enum : uint { kStripNorms = 64 };  // most norms a strip holds

struct ColumnsParams {               // ColumnsParams in norm_plan.h
  uint rows, columns, run, kept;     // kept: norms a batch
  uint strip, strips, lanes, depth;  // columns a strip, strips a batch; lanes * depth <= threads, depth a power of two
  NormRule rule;
};

// Where a thread stands: its first column, and whether it holds any.
struct Column {
  ulong base;  // element of (row 0, first column of the strip)
  uint x, y;   // column within the strip, first row
  uint width;  // columns of this strip (the last one may be narrower)
  ulong norm;  // first norm of the strip
  bool active;
};

inline Column column_of(constant ColumnsParams& p, uint group, uint thread_index, uint W) {
  Column c;
  const uint batch = group / p.strips, start = (group % p.strips) * p.strip;
  c.base = ulong(batch) * p.rows * p.columns + start;
  c.width = min(p.strip, p.columns - start);
  c.x = thread_index % p.lanes * W;
  c.y = thread_index / p.lanes;
  c.norm = ulong(batch) * p.kept + start / p.run;
  c.active = c.y < p.depth && c.x < c.width;
  return c;
}

// The norm of the strip that a column belongs to.
inline uint norm_at(uint column, constant ColumnsParams& p) {
  return p.run == 1 ? column : column / p.run;
}

struct AddSums {
  static float2 fold(float2 a, float2 b) { return add_sums(a, b); }
};
struct MaxBits {
  static float2 fold(float2 a, float2 b) { return as_type<uint>(a.x) > as_type<uint>(b.x) ? a : b; }
};

// Folds one float2 a column over all rows' threads, then over the columns of each norm: board[j] is the result of norm j afterwards,
// for every thread. `board` holds strip * max(1, depth / 2) values. All threads must come here.
template <typename Fold, int W>
inline void fold_columns(thread float2* value, Column c, constant ColumnsParams& p, threadgroup float2* board) {
  for (uint half_depth = p.depth / 2; half_depth > 0; half_depth /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (c.active && c.y >= half_depth && c.y < 2 * half_depth) {
#pragma unroll
      for (int i = 0; i < W; i++) board[(c.y - half_depth) * p.strip + c.x + i] = value[i];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (c.active && c.y < half_depth) {
#pragma unroll
      for (int i = 0; i < W; i++) value[i] = Fold::fold(value[i], float2(board[c.y * p.strip + c.x + i]));
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (c.active && c.y == 0) {
#pragma unroll
    for (int i = 0; i < W; i++) board[c.x + i] = value[i];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.run == 1) return;
  // The first column of a norm gathers the others; results move down only when everyone has read.
#pragma unroll
  for (int i = 0; i < W; i++) {
    if (c.active && c.y == 0 && (c.x + i) % p.run == 0) {
      for (uint j = 1; j < p.run; j++) value[i] = Fold::fold(value[i], float2(board[c.x + i + j]));
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
  for (int i = 0; i < W; i++) {
    if (c.active && c.y == 0 && (c.x + i) % p.run == 0) board[(c.x + i) / p.run] = value[i];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}
