namespace {

#include "cpu/conv_tile.inl"

// y = act(x) in place or apart, float32.
WN_INLINE void activateRow(const RowActivation& act, const float* x, float* y, int64_t n) {
  if (act.kind != core::Act::kNone) activateAny(act.kind, act.param, act.alpha, act.logScale, x, y, n);
}

WN_INLINE void clear(float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) storeN(out + i, zero(), n - i < kLanes ? static_cast<int>(n - i) : kLanes);
}

template <core::DType D>
WN_INLINE float element(const void* x, int64_t i) {
  if constexpr (D == core::DType::kFloat32) return static_cast<const float*>(x)[i];
  if constexpr (D == core::DType::kFloat16) return core::halfToFloat(static_cast<const uint16_t*>(x)[i]);
  if constexpr (D == core::DType::kBFloat16) return core::bfloatToFloat(static_cast<const uint16_t*>(x)[i]);
}

// The even ones of 2 · kLanes values.
WN_INLINE Vec evens(Vec low, Vec high) {
  Vec even, odd;
  unzip(low, high, even, odd);
  return even;
}

// Every second or fourth value by whole vectors, which may read up to three values past the last.
template <core::DType D>
void copyStrided(const GatherRow& row, int64_t first, int64_t last) {
  const int64_t step = row.step, start = row.start;
  const void* const x = row.x;
  float* const out = row.out;
  int64_t q = first;
  if (step == 2) {
    for (; q + kLanes <= last; q += kLanes) {
      const int64_t from = start + 2 * q;
      store(out + q, evens(loadAs<D>(x, from), loadAs<D>(x, from + kLanes)));
    }
  } else if (step == 4) {
    for (; q + kLanes <= last; q += kLanes) {
      const int64_t from = start + 4 * q;
      const Vec low = evens(loadAs<D>(x, from), loadAs<D>(x, from + kLanes));
      store(out + q, evens(low, evens(loadAs<D>(x, from + 2 * kLanes), loadAs<D>(x, from + 3 * kLanes))));
    }
  }
  for (; q < last; ++q) out[q] = element<D>(x, start + q * step);
}

// Contiguous source: conversion, the cheap activations and the scale in one pass.
// Here and below fields are copied first: a store of floats might change them for all the compiler knows.
template <core::DType D, core::Act A>
void copyContiguous(const GatherRow& row, int64_t first, int64_t last) {
  const Vec scale = set(row.scale);
  const SnakeChannel none{1, 1};
  const float param = row.act.param;
  const void* const x = row.x;
  float* const out = row.out;
  const int64_t start = row.start;
  int64_t q = first;
  for (; q + 2 * kLanes <= last; q += 2 * kLanes) {
    const Vec a = loadAs<D>(x, start + q), b = loadAs<D>(x, start + q + kLanes);
    store(out + q, scale * activate<A>(a, param, none));
    store(out + q + kLanes, scale * activate<A>(b, param, none));
  }
  for (; q < last; q += kLanes) {
    const int lanes = last - q < kLanes ? static_cast<int>(last - q) : kLanes;
    storeN(out + q, scale * activate<A>(loadAsN<D>(x, start + q, lanes), param, none), lanes);
  }
}

// Pieces that are too short for a pass of their own: copied one by one, then activated together.
template <core::DType D>
void gatherPieces(const GatherRow& row) {
  for (int64_t q = 0, from = row.start; q < row.count; q += row.piece, from += row.pieceStep) {
    float* const out = row.out + q;
    const bool inside = from >= 0 && from + row.piece <= row.length;
    for (int64_t i = 0; i < row.piece; ++i) out[i] = inside ? element<D>(row.x, from + i) : 0.0f;
  }
  // Pieces outside the row are zero after the activation.
  int64_t first = row.start >= 0 ? 0 : (-row.start + row.pieceStep - 1) / row.pieceStep * row.piece;
  int64_t last = row.start >= row.length ? 0 : (row.length - row.start + row.pieceStep - 1) / row.pieceStep * row.piece;
  if (last > row.count) last = row.count;
  if (first >= last) return;
  activateRow(row.act, row.out + first, row.out + first, last - first);
  if (row.scale != 1.0f) {
    for (int64_t q = first; q < last; ++q) row.out[q] *= row.scale;
  }
}

template <core::DType D>
void gatherAs(const GatherRow& row) {
  if (row.piece > 0) return gatherPieces<D>(row);
  // [first, last): where the index lies inside the row.
  int64_t first = row.start >= 0 ? 0 : (-row.start + row.step - 1) / row.step;
  int64_t last = row.start >= row.length ? 0 : (row.length - row.start + row.step - 1) / row.step;
  if (first > row.count) first = row.count;
  if (last > row.count) last = row.count;
  if (last < first) last = first;

  const bool zeros = row.mode == core::PadMode::kZeros;
  if (zeros) {
    clear(row.out, first);
    clear(row.out + last, row.count - last);
  } else {
    for (int64_t q = 0; q < row.count; ++q) {
      if (q == first) q = last;
      if (q == row.count) break;
      row.out[q] = element<D>(row.x, paddedIndex(row.mode, row.start + q * row.step, row.length));
    }
  }

  const bool contiguous = row.step == 1 && zeros;
  if (contiguous && row.act.kind == core::Act::kNone) return copyContiguous<D, core::Act::kNone>(row, first, last);
  if (contiguous && row.act.kind == core::Act::kLeakyRelu) return copyContiguous<D, core::Act::kLeakyRelu>(row, first, last);

  if (row.step == 1) {
    convert(static_cast<const char*>(row.x) + (row.start + first) * (D == core::DType::kFloat32 ? 4 : 2), D, row.out + first,
            core::DType::kFloat32, last - first);
  } else {
    copyStrided<D>(row, first, last);
  }
  if (!zeros) first = 0, last = row.count;
  activateRow(row.act, row.out + first, row.out + first, last - first);
  if (row.scale != 1.0f) {
    for (int64_t q = first; q < last; ++q) row.out[q] *= row.scale;
  }
}

void gather(const GatherRow& row) {
  if (row.dtype == core::DType::kFloat32) return gatherAs<core::DType::kFloat32>(row);
  if (row.dtype == core::DType::kFloat16) return gatherAs<core::DType::kFloat16>(row);
  return gatherAs<core::DType::kBFloat16>(row);
}

// The numbers of a row in registers.
struct Finish {
  Vec scale, bias, outScale;
  float param;
};

template <core::Act A, bool Residual, bool Running>
WN_INLINE Vec finishVec(const Finish& f, Vec sum, Vec residual, Vec running) {
  Vec v = fma(sum, f.scale, f.bias);
  if constexpr (Residual) v = v + residual;
  if constexpr (Running) v = v + running;
  return activate<A>(v * f.outScale, f.param, SnakeChannel{1, 1});
}

template <core::DType D, core::Act A, bool Residual, bool Running>
void finishAs(const FinishRow& row, float* sum, void* y) {
  const Finish f{set(row.scale), set(row.bias), set(row.outScale), row.act.param};
  const void* const residual = row.residual;
  const void* const running = row.running;
  const int64_t count = row.count;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec r = Residual ? loadAs<D>(residual, i) : zero();
    const Vec p = Running ? loadAs<D>(running, i) : zero();
    const Vec v = finishVec<A, Residual, Running>(f, load(sum + i), r, p);
    if (y) {
      storeAs<D>(y, i, v);
    } else {
      store(sum + i, v);
    }
  }
  if (i == count) return;
  const int rest = static_cast<int>(count - i);
  const Vec r = Residual ? loadAsN<D>(residual, i, rest) : zero();
  const Vec p = Running ? loadAsN<D>(running, i, rest) : zero();
  const Vec v = finishVec<A, Residual, Running>(f, loadN(sum + i, rest), r, p);
  if (y) {
    storeAsN<D>(y, i, v, rest);
  } else {
    storeN(sum + i, v, rest);
  }
}

// To y, or back to the sums where y is null.
template <core::DType D, core::Act A>
void finishWith(const FinishRow& row, void* y) {
  if (row.residual && row.running) return finishAs<D, A, true, true>(row, row.sum, y);
  if (row.residual) return finishAs<D, A, true, false>(row, row.sum, y);
  if (row.running) return finishAs<D, A, false, true>(row, row.sum, y);
  return finishAs<D, A, false, false>(row, row.sum, y);
}

template <core::DType D>
void finishTo(const FinishRow& row) {
  if (row.act.kind == core::Act::kNone) return finishWith<D, core::Act::kNone>(row, row.y);
  if (row.act.kind == core::Act::kLeakyRelu) return finishWith<D, core::Act::kLeakyRelu>(row, row.y);
  finishWith<D, core::Act::kNone>(row, nullptr);
  activateRow(row.act, row.sum, row.sum, row.count);
  convert(row.sum, core::DType::kFloat32, row.y, D, row.count);
}

void finish(const FinishRow& row) {
  if (row.dtype == core::DType::kFloat32) return finishTo<core::DType::kFloat32>(row);
  if (row.dtype == core::DType::kFloat16) return finishTo<core::DType::kFloat16>(row);
  return finishTo<core::DType::kBFloat16>(row);
}

// The lanes of Count vectors in turn: v[0][0] v[1][0] … v[Count − 1][0] v[0][1] …, as Count vectors in place.
template <int Count>
WN_INLINE void zipAll(Vec (&v)[Count]) {
  // Each level joins sequence r with r + half; sequences double in length as their number halves.
#pragma GCC unroll 4
  for (int half = Count / 2, length = 1; half > 0; half /= 2, length *= 2) {
    Vec next[Count];
#pragma GCC unroll 8
    for (int r = 0; r < half; ++r) {
#pragma GCC unroll 8
      for (int e = 0; e < length; ++e) {
        zip(v[r * length + e], v[(r + half) * length + e], next[2 * (r * length + e)], next[2 * (r * length + e) + 1]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) v[i] = next[i];
  }
}

template <int Count>
int64_t interleaveRows(const float* const* rows, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Vec v[Count];
#pragma GCC unroll 8
    for (int r = 0; r < Count; ++r) v[r] = load(rows[r] + i);
    zipAll(v);
#pragma GCC unroll 8
    for (int r = 0; r < Count; ++r) store(out + i * Count + r * kLanes, v[r]);
  }
  return i;
}

void interleave(const float* const* rows, int count, int64_t n, float* out) {
  if (count == 1) {
    memcpy(out, rows[0], static_cast<size_t>(n) * sizeof(float));
    return;
  }
  int64_t i = 0;
  if (count == 2) i = interleaveRows<2>(rows, n, out);
  if (count == 4) i = interleaveRows<4>(rows, n, out);
  if (count == 8) i = interleaveRows<8>(rows, n, out);
  for (; i < n; ++i) {
    for (int r = 0; r < count; ++r) out[i * count + r] = rows[r][i];
  }
}

}  // namespace

extern const ConvKernels convKernels = {kLanes, kMaxRows, multiply, multiplyBeside, multiplyRuns, gather, finish, interleave};
