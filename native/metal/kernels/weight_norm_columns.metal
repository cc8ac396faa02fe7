// Weight norm over an outer axis (columns, and the nest kept / reduced / kept / run): see norm_columns.h for the layout.
//   wn_columns_k8/k16   up to 8 or 16 rows a thread, kept in registers: v is read once. Grid [batches * strips, 1]
//   wn_columns_sum      any number of rows, cut into parts: leaves the squares of its part in `partial`
//   wn_columns_apply    adds up the partial sums of its norms and scales its part, parts last to first, so that the first ones meet
//                       what the sums left in the caches. Grid of both [batches * strips, parts]; norm or scale alone: [.., 1]
// Threadgroups of lanes * depth threads rounded up to whole simdgroups.
// Traffic: 8 bytes an element in float32 and 4 in the half types when kept in registers (the least possible), 12 and 6 otherwise and
// 8 bytes a norm and part; norms alone 4 and 2.
#include "norm_columns.h"

// The squares of four rows, a column apart. Two of float32, or four of the half types, exact in float, are added up plainly and enter the
// pair together.
template <typename T, int W>
inline void add_squares(thread const typename Chunk<T, W>::raw* c, thread const float* factor, thread float2* sum) {
  enum : int { kTogether = sizeof(T) == 4 ? 2 : 4 };
#pragma unroll
  for (int first = 0; first < 4; first += kTogether) {
    float squares[W];
#pragma unroll
    for (int k = 0; k < kTogether; k++) {
      float x[W];
      Chunk<T, W>::open(c[first + k], x);
#pragma unroll
      for (int i = 0; i < W; i++) {
        x[i] *= factor[i];
        squares[i] = k == 0 ? x[i] * x[i] : fma(x[i], x[i], squares[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < W; i++) {
      const float2 s = two_sum(sum[i].x, squares[i]);
      sum[i] = float2(s.x, sum[i].y + s.y);
    }
  }
}
// All of a thread's rows, read from memory.
template <typename T, int W, int U>
inline void sum_rows(ColumnRows<T, W, U> values, thread const float* factor, thread float2* sum) {
#pragma unroll
  for (int i = 0; i < W; i++) sum[i] = float2(0.0f);
#pragma unroll 1
  for (uint row = values.first; row < values.end; row += U * values.step) {
    typename Chunk<T, W>::raw c[U];
    values.load(row, c);
#pragma unroll
    for (int k = 0; k < U; k += 4) add_squares<T, W>(c + k, factor, sum);
  }
}

// Folds each thread's sums; afterwards thread j has the squares of norm j of the strip. Where a sum is doubtful, a second look at the
// rows in memory scaled by powers of two; `again` says that there was one.
template <typename T, int W>
inline RangedSum fold_squares(ColumnRows<T, W, 4> values, thread float2* sum, Column c, constant ColumnsParams& p,
                              threadgroup float2* board, threadgroup float2* part, thread const Place& at, thread bool& again) {
  fold_columns<AddSums, W>(sum, c, p, board);
  const bool owner = at.thread_index < c.width / p.run;
  RangedSum found = {owner ? float2(board[at.thread_index]) : float2(1.0f), 0};
  const bool doubtful = !in_range(found.sum.x);
  again = group_peak(doubtful ? 1u : 0u, part, at) != 0;
  if (again) {
    values.peak(sum);
    fold_columns<MaxBits, W>(sum, c, p, board);
    float factor[W];
#pragma unroll
    for (int i = 0; i < W; i++) factor[i] = c.active ? pow2(rescale(as_type<uint>(board[norm_at(c.x + i, p)].x))) : 1.0f;
    const uint peak = owner ? as_type<uint>(board[at.thread_index].x) : 0u;
    sum_rows<T, W, 4>(values, factor, sum);
    fold_columns<AddSums, W>(sum, c, p, board);
    if (owner && doubtful) {
      found.sum = board[at.thread_index];
      found.k = peak == 0 ? kZeroRow : rescale(peak);
    }
  }
  return found;
}

// Each thread's W scales out of `shared`; false where one of them is not plain.
template <int W>
inline bool plain_scales(threadgroup const float4* shared, Column c, constant ColumnsParams& p, thread float* s) {
  bool plain = true;
#pragma unroll
  for (int i = 0; i < W; i++) {
    const RowScale scale = unpack_scale(shared[norm_at(c.x + i, p)]);
    s[i] = scale.s;
    plain = plain && scale.plain;
  }
  return plain;
}
// A block of a thread's rows times s.
template <typename T, int W, int U>
inline void store_plain(device T* w, thread const typename Chunk<T, W>::raw* chunks, uint base, ColumnRows<T, W, U> rows,
                        thread const float* s) {
  device T* row = w + ulong(base) * rows.columns;
#pragma unroll
  for (int k = 0; k < U; k++) {
    float x[W];
    Chunk<T, W>::open(chunks[k], x);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] *= s[i];
    if (base + k * rows.step < rows.end) *(device typename Chunk<T, W>::raw*)row = Chunk<T, W>::close_number(x);
    row += ulong(rows.step) * rows.columns;
  }
}
// All of a thread's rows times any scale, out of memory.
template <typename T, int W, int U>
inline void store_any(device T* w, ColumnRows<T, W, U> rows, threadgroup const float4* shared, Column c, constant ColumnsParams& p) {
#pragma unroll 1
  for (uint row = rows.first; row < rows.end; row += rows.step) {
    float x[W];
    Chunk<T, W>::open(rows.at(row), x);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = unpack_scale(shared[norm_at(c.x + i, p)]).apply(x[i]);
    *(device typename Chunk<T, W>::raw*)(w + ulong(row) * rows.columns) = Chunk<T, W>::close(x);
  }
}

template <typename T, int W, int K>
[[kernel, max_total_threads_per_threadgroup(512)]] void wn_columns(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]],
                                                                   device T* w [[buffer(2)]], device float* statistic [[buffer(3)]],
                                                                   constant ColumnsParams& p [[buffer(4)]],
                                                                   threadgroup float2* board [[threadgroup(0)]],
                                                                   uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  threadgroup float4 shared[kStripNorms];
  const Place at = PLACE;
  const Column c = column_of(p, group.x, 0, thread_index, W);
  const ColumnRows<T, W, K> values = column_rows<T, W, K>(v, c, p);
  typename Chunk<T, W>::raw chunks[K];
  values.load(values.first, chunks);
  const bool owner = thread_index < c.width / p.run;
  // On its way while the squares are added up.
  const NormFinish finish = finish_of(g, owner ? c.norm + thread_index : 0, p.rule);

  float one[W];
  float2 sum[W];
#pragma unroll
  for (int i = 0; i < W; i++) {
    one[i] = 1.0f;
    sum[i] = float2(0.0f);
  }
#pragma unroll
  for (int k = 0; k < K; k += 4) add_squares<T, W>(chunks + k, one, sum);
  bool again;
  const RangedSum found = fold_squares<T, W>(column_rows<T, W, 4>(v, c, p), sum, c, p, board, part, at, again);
  if (again) values.load(values.first, chunks);
  if (owner) {
    const RowScale scale = finish.of(norm_of(found));
    shared[thread_index] = pack_scale(scale);
    if (p.rule.output != kOutputWeight) statistic[c.norm + thread_index] = scale.s;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.rule.output != kOutputWeight || !c.active) return;
  float s[W];
  if (plain_scales<W>(shared, c, p, s)) {
#pragma unroll
    for (int k = 0; k < K; k++) chunks[k] = reopened(chunks[k], hidden_zero(p.rule));
    store_plain<T, W, K>(w + c.base + c.x, chunks, values.first + hidden_zero(p.rule), values, s);
  } else {
    store_any<T, W, K>(w + c.base + c.x, values, shared, c, p);
  }
}

template <typename T, int W>
[[kernel]] void wn_columns_sum(device const T* v [[buffer(0)]], device uint2* partial [[buffer(1)]],
                               constant ColumnsParams& p [[buffer(2)]], threadgroup float2* board [[threadgroup(0)]],
                               uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float2 part[32];
  const Place at = PLACE;
  const Column c = column_of(p, group.x, group.y, thread_index, W);
  const ColumnRows<T, W, 8> values = column_rows<T, W, 8>(v, c, p);
  float one[W];
#pragma unroll
  for (int i = 0; i < W; i++) one[i] = 1.0f;
  float2 sum[W];
  sum_rows<T, W, 8>(values, one, sum);
  bool again;
  const RangedSum found = fold_squares<T, W>(column_rows<T, W, 4>(v, c, p), sum, c, p, board, part, at, again);
  if (thread_index < c.width / p.run) {
    partial[group.y * p.norms + c.norm + thread_index] = uint2(as_type<uint>(found.sum.x + found.sum.y), uint(found.k));
  }
}

// Two sums that may stand at different powers of two.
inline RangedSum add_ranged(RangedSum a, RangedSum b) {
  const int k = min(a.k, b.k);
  const float fa = pow2(max(k - a.k, -126)), fb = pow2(max(k - b.k, -126));
  const RangedSum both = {add_sums(a.sum * fa * fa, b.sum * fb * fb), k};
  return both;
}

template <typename T, int W>
[[kernel]] void wn_columns_apply(device const T* v [[buffer(0)]], device const uchar* g [[buffer(1)]], device T* w [[buffer(2)]],
                                 device float* statistic [[buffer(3)]], device const uint2* partial [[buffer(4)]],
                                 constant ColumnsParams& p [[buffer(5)]], uint2 group [[threadgroup_position_in_grid]], PLACE_ARGUMENTS) {
  threadgroup float4 shared[kStripNorms];
  const Column c = column_of(p, group.x, p.parts - 1 - group.y, thread_index, W);
  const ColumnRows<T, W, 4> values = column_rows<T, W, 4>(v, c, p);
  // The last rows are on their way while the partial sums are added up.
  typename Chunk<T, W>::raw chunks[4];
  if (p.rule.output == kOutputWeight) values.load(values.last(), chunks);
  if (thread_index < c.width / p.run) {
    const ulong norm = c.norm + thread_index;
    const NormFinish finish = finish_of(g, norm, p.rule);
    RangedSum found = {float2(0.0f), kZeroRow};
#pragma unroll 4
    for (uint i = 0; i < p.parts; i++) {
      const uint2 u = partial[i * p.norms + norm];
      const RangedSum next = {float2(as_type<float>(u.x), 0.0f), int(u.y)};
      found = add_ranged(found, next);
    }
    const RowScale scale = finish.of(norm_of(found));
    shared[thread_index] = pack_scale(scale);
    if (p.rule.output != kOutputWeight) statistic[norm] = scale.s;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.rule.output != kOutputWeight || !c.active) return;
  device T* target = w + c.base + c.x;
  float s[W];
  if (!plain_scales<W>(shared, c, p, s)) return store_any<T, W, 4>(target, values, shared, c, p);
  for (uint row = values.last();; row -= 4 * values.step) {
    store_plain<T, W, 4>(target, chunks, row, values, s);
    if (row < values.first + 4 * values.step) break;
    values.load(row - 4 * values.step, chunks);
  }
}

#define COLUMNS(name, T, W)                                                                                      \
  template [[host_name("wn_columns_k8_" name)]] [[kernel]] decltype(wn_columns<T, W, 8>) wn_columns<T, W, 8>;    \
  template [[host_name("wn_columns_k16_" name)]] [[kernel]] decltype(wn_columns<T, W, 16>) wn_columns<T, W, 16>; \
  template [[host_name("wn_columns_sum_" name)]] [[kernel]] decltype(wn_columns_sum<T, W>) wn_columns_sum<T, W>; \
  template [[host_name("wn_columns_apply_" name)]] [[kernel]] decltype(wn_columns_apply<T, W>) wn_columns_apply<T, W>;
COLUMNS("float32", float, 4)
COLUMNS("float16", half, 8)
COLUMNS("bfloat16", bf16, 8)
COLUMNS("scalar_float32", float, 1)
COLUMNS("scalar_float16", half, 1)
COLUMNS("scalar_bfloat16", bf16, 1)
