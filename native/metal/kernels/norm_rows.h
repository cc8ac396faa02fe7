// Rows whose elements are neighbours: threads that share one load it, add up its squares, and write it scaled.
#pragma once
#include "norm.h"

template <typename T, int W>
inline typename Chunk<T, W>::raw scaled_plain(typename Chunk<T, W>::raw c, float s) {
  float x[W];
  Chunk<T, W>::open(c, x);
#pragma unroll
  for (int i = 0; i < W; i++) x[i] *= s;
  return Chunk<T, W>::close_number(x);
}
template <typename T, int W>
inline typename Chunk<T, W>::raw scaled(typename Chunk<T, W>::raw c, RowScale scale) {
  float x[W];
  Chunk<T, W>::open(c, x);
#pragma unroll
  for (int i = 0; i < W; i++) x[i] = scale.apply(x[i]);
  return Chunk<T, W>::close(x);
}
// Chunks c[k] times s to target[first + k step] where that is below count.
template <typename T, int W, int K>
inline void store_plain(device typename Chunk<T, W>::raw* target, thread const typename Chunk<T, W>::raw* c, uint first, uint step,
                        uint count, float s) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (first + k * step < count) target[first + k * step] = scaled_plain<T, W>(c[k], s);
  }
}

// One row in memory: this thread's chunks are first, first + step, ... below count; U of them in flight. Where most rows end within a
// block of U, as Ragged says, what is past the end is not added up.
template <typename T, int W, int U, bool Ragged = false>
struct LoopedRow {
  typedef typename Chunk<T, W>::raw raw;
  device const T* v;
  uint first, step, count;

  raw at(uint i) const { return ((device const raw*)v)[i]; }
  // Chunks base, base + step, ...; zeros beyond the end.
  void load(uint base, thread raw* c) const {
#pragma unroll
    for (int k = 0; k < U; k++) {
      c[k] = raw(0);
      if (base + k * step < count) c[k] = at(base + k * step);
    }
  }
  float2 squares(float scale) const {
    Products<T, W> sum;
    sum.clear();
#pragma unroll 1
    for (uint base = first; base < count; base += U * step) {
      raw c[U];
      load(base, c);
#pragma unroll
      for (int k = 0; k < U; k++) {
        if (Ragged && base + k * step >= count) break;
        float x[W];
        Chunk<T, W>::open(c[k], x);
#pragma unroll
        for (int i = 0; i < W; i++) x[i] *= scale;
        sum.add(x, x);
      }
    }
    return sum.total();
  }
  float2 squares() const { return squares(1.0f); }
  void load() const {}
  uint peak() const {
    uint bits = 0;
#pragma unroll 1
    for (uint i = first; i < count; i += step) {
      float x[W];
      Chunk<T, W>::open(at(i), x);
      bits = max(bits, peak_bits<W>(x));
    }
    return bits;
  }
  // Where the last U chunks of this thread begin.
  uint last() const { return first < count ? (count - 1 - first) / (U * step) * (U * step) + first : first; }
  // Backwards, so that it meets what the sums left in the caches. `c` holds the chunks at last().
  void store(device T* w, RowScale scale, thread raw* c) const {
    if (!scale.plain) return store_any(w, scale);
    for (uint base = last();; base -= U * step) {
      store_plain<T, W, U>((device raw*)w, c, base, step, count, scale.s);
      if (base < U * step) break;
      load(base - U * step, c);
    }
  }
  void store_any(device T* w, RowScale scale) const {
#pragma unroll 1
    for (uint i = first; i < count; i += step) ((device raw*)w)[i] = scaled<T, W>(at(i), scale);
  }
};

// One row of at most K chunks a thread, kept in registers. What doubtful sums and scales ask for besides is read from memory, and the
// chunks again after it, so that rare paths do not decide how many registers the kernel takes.
template <typename T, int W, int K>
struct CachedRow {
  typename Chunk<T, W>::raw chunks[K];
  LoopedRow<T, W, 1> memory;

  void load(device const T* v, uint first, uint step, uint count) {
    memory.v = v;
    memory.first = first;
    memory.step = step;
    memory.count = count;
    load();
  }
  void load() {
    const LoopedRow<T, W, K> all = {memory.v, memory.first, memory.step, memory.count};
    all.load(memory.first, chunks);
  }
  float2 squares() const {
    Products<T, W> sum;
    sum.clear();
#pragma unroll
    for (int k = 0; k < K; k++) {
      float x[W];
      Chunk<T, W>::open(chunks[k], x);
      sum.add(x, x);
    }
    return sum.total();
  }
  float2 squares(float scale) const { return memory.squares(scale); }
  uint peak() const { return memory.peak(); }
  void store(device T* w, RowScale scale, uint zero) {
    if (!scale.plain) return memory.store_any(w, scale);
#pragma unroll
    for (int k = 0; k < K; k++) chunks[k] = reopened(chunks[k], zero);
    store_plain<T, W, K>((device typename Chunk<T, W>::raw*)w, chunks, memory.first + zero, memory.step, memory.count, scale.s);
  }
};

// The squares of a row that `lanes` neighbouring lanes share. Where the sum is doubtful, a second look at the row scaled
// by a power of two. Every lane of the simdgroup must come here; `valid` is false for lanes that have no row.
template <typename Row>
inline RangedSum simd_squares(thread Row& row, uint lanes, bool valid) {
  RangedSum s = {simd_add(row.squares(), lanes), 0};
  const bool doubtful = valid && !in_range(s.sum.x);
  if (simd_any(doubtful)) {
    const uint peak = simd_peak(row.peak(), lanes);
    const float2 again = simd_add(row.squares(pow2(rescale(peak))), lanes);
    if (doubtful) {
      s.sum = again;
      s.k = peak == 0 ? kZeroRow : rescale(peak);
    }
    row.load();
  }
  return s;
}
// The same for a row that a whole threadgroup shares.
template <typename Row>
inline RangedSum group_squares(thread Row& row, threadgroup float2* part, thread const Place& at) {
  RangedSum s = {group_add(row.squares(), part, at), 0};
  if (!in_range(s.sum.x)) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint peak = group_peak(row.peak(), part, at);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    s.sum = group_add(row.squares(pow2(rescale(peak))), part, at);
    s.k = peak == 0 ? kZeroRow : rescale(peak);
    row.load();
  }
  return s;
}
// The scale of such a row: every thread finishes it for itself, which is sooner than waiting for one that does.
template <typename Row>
inline RowScale group_scale(thread Row& row, NormFinish finish, threadgroup float2* part, thread const Place& at) {
  return finish.of(norm_of(group_squares(row, part, at)));
}
