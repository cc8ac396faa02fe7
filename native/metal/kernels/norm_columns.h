// Norms over an outer axis: v as [batches, rows, columns], columns = kept * run, where a norm covers all rows and `run` neighbouring
// columns (run 1: plain columns). A threadgroup owns a strip of whole norms and walks all rows, or `length` of them:
// thread = y * lanes + x holds W neighbouring columns x of the rows y, y + depth, ...
#pragma once
#include "norm.h"

enum : uint { kStripNorms = 64 };  // most norms a strip holds

struct ColumnsParams {               // ColumnsParams in norm_plan.h
  uint rows, columns, run, kept;     // kept: norms a batch
  uint strip, strips, lanes, depth;  // columns a strip, strips a batch; lanes * depth <= threads, depth a power of two
  uint parts, length;                // rows are cut into `parts` parts of `length`; the last may be shorter
  ulong norms;                       // batches * kept
  NormRule rule;
};

// Where a thread stands: its first column, its rows, and whether it holds any.
struct Column {
  ulong base;       // element of (row 0, first column of the strip)
  uint x, y;        // column within the strip, row within the part
  uint begin, end;  // rows of the part
  uint width;       // columns of this strip (the last one may be narrower)
  ulong norm;       // first norm of the strip
  bool active;
};

inline Column column_of(constant ColumnsParams& p, uint group, uint part, uint thread_index, uint W) {
  Column c;
  const uint batch = group / p.strips, start = (group % p.strips) * p.strip;
  c.base = ulong(batch) * p.rows * p.columns + start;
  c.width = min(p.strip, p.columns - start);
  c.x = thread_index % p.lanes * W;
  c.y = thread_index / p.lanes;
  c.begin = part * p.length;
  c.end = min(p.rows, c.begin + p.length);
  c.norm = ulong(batch) * p.kept + start / p.run;
  c.active = c.y < p.depth && c.x < c.width;
  return c;
}

// The norm of the strip that a column belongs to.
inline uint norm_at(uint column, constant ColumnsParams& p) {
  return p.run == 1 ? column : column / p.run;
}

// One thread's rows of one array: blocks of U chunks, zeros where there is none.
template <typename T, int W, int U>
struct ColumnRows {
  typedef typename Chunk<T, W>::raw raw;
  device const T* v;  // of the thread's first column
  uint first, end, columns, step;

  raw at(uint row) const { return *(device const raw*)(v + ulong(row) * columns); }
  // A walking pointer: offsets of every row would each take registers.
  void load(uint base, thread raw* c) const {
    device const T* row = v + ulong(base) * columns;
#pragma unroll
    for (int k = 0; k < U; k++) {
      c[k] = raw(0);
      if (base + k * step < end) c[k] = *(device const raw*)row;
      row += ulong(step) * columns;
    }
  }
  // Where the last block begins.
  uint last() const { return first < end ? (end - 1 - first) / (U * step) * (U * step) + first : first; }
  // Largest magnitudes, one a column.
  void peak(thread float2* bits) const {
#pragma unroll
    for (int i = 0; i < W; i++) bits[i] = float2(0.0f);
    for (uint row = first; row < end; row += step) {
      float x[W];
      Chunk<T, W>::open(at(row), x);
#pragma unroll
      for (int i = 0; i < W; i++) bits[i].x = as_type<float>(max(as_type<uint>(bits[i].x), as_type<uint>(fabs(x[i]))));
    }
  }
};
template <typename T, int W, int U>
inline ColumnRows<T, W, U> column_rows(device const T* v, Column c, constant ColumnsParams& p) {
  const ColumnRows<T, W, U> rows = {v + c.base + c.x, c.begin + c.y, c.active ? c.end : 0u, p.columns, p.depth};
  return rows;
}

struct AddSums {
  static float2 fold(float2 a, float2 b) { return add_sums(a, b); }
};
struct MaxBits {
  static float2 fold(float2 a, float2 b) { return as_type<uint>(a.x) > as_type<uint>(b.x) ? a : b; }
};

// Folds one float2 a column over all rows' threads, then over the columns of each norm: board[j] is the result of norm j afterwards,
// for every thread. `board` holds strip * max(1, depth / 2) values; in it the columns of a row that neighbouring threads hold are
// neighbours, so that no two threads of a simdgroup meet in one bank. All threads must come here.
template <typename Fold, int W>
inline void fold_columns(thread float2* value, Column c, constant ColumnsParams& p, threadgroup float2* board) {
  const uint lane = c.x / W;
  for (uint half_depth = p.depth / 2; half_depth > 0; half_depth /= 2) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (c.active && c.y >= half_depth && c.y < 2 * half_depth) {
#pragma unroll
      for (int i = 0; i < W; i++) board[(c.y - half_depth) * p.strip + i * p.lanes + lane] = value[i];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (c.active && c.y < half_depth) {
#pragma unroll
      for (int i = 0; i < W; i++) value[i] = Fold::fold(value[i], float2(board[c.y * p.strip + i * p.lanes + lane]));
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (c.active && c.y == 0) {
#pragma unroll
    for (int i = 0; i < W; i++) board[c.x + i] = value[i];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.run == 1) return;
  // Thread j gathers norm j; results move down only when everyone has read.
  const uint norm = c.y * p.lanes + lane;
  const bool owner = norm < c.width / p.run;
  float2 total = float2(0.0f);
  if (owner) {
    total = board[norm * p.run];
    for (uint j = 1; j < p.run; j++) total = Fold::fold(total, float2(board[norm * p.run + j]));
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (owner) board[norm] = total;
  threadgroup_barrier(mem_flags::mem_threadgroup);
}
