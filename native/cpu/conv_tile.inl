// The register tile behind every product: Rows rows of weights times Vectors vectors of x.

constexpr int kMaxRows = kVectorRegisters == 32 ? 8 : 4;

// Vectors a full tile keeps beside Rows rows, so that accumulators and operands fit the registers.
constexpr int tileVectors(int rows) {
  if (rows == 8) return 3;
  if (rows == 4) return kMaxRows == 8 ? 6 : 3;
  if (rows == 2) return kMaxRows == 8 ? 8 : 4;
  return kMaxRows == 8 ? 8 : 6;
}

constexpr int kPrefetchFloats = 512;

// With Ahead the weights to come are fetched: for the first tile of a row block, which reads them from memory. With Apart the
// vectors of x are at `places`, else one behind the other. With Beside, `beside` is fetched meanwhile.
template <int Rows, int Vectors, bool Ahead, bool Apart, bool Beside = false>
__attribute__((noinline)) void tile(const float* x, const int64_t* places, const int32_t* offsets, int64_t terms, const float* weights,
                                    float* sums, int64_t sumStride, bool first, Fetch beside = {}) {
  int64_t place[Vectors];
#pragma GCC unroll 8
  for (int n = 0; n < Vectors; ++n) place[n] = Apart ? places[n] : n * kLanes;
  Vec c[Rows][Vectors];
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 8
    for (int n = 0; n < Vectors; ++n) c[m][n] = zero();
  }
  for (int64_t t = 0; t < terms; ++t) {
    const float* p = x + offsets[t];
    if constexpr (Ahead) __builtin_prefetch(weights + kPrefetchFloats);
    if constexpr (Beside) {
      __builtin_prefetch(beside.from, 0, 2);
      beside.from += beside.step;
    }
    Vec v[Vectors];
#pragma GCC unroll 8
    for (int n = 0; n < Vectors; ++n) v[n] = load(p + place[n]);
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m) {
      const Vec w = broadcast(weights + m);
#pragma GCC unroll 8
      for (int n = 0; n < Vectors; ++n) accumulate(c[m][n], w, v[n]);
    }
    weights += Rows;
  }
#pragma GCC unroll 8
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 8
    for (int n = 0; n < Vectors; ++n) {
      float* out = sums + m * sumStride + n * kLanes;
      store(out, first ? c[m][n] : load(out) + c[m][n]);
    }
  }
}

template <int Rows, int Vectors, bool Apart>
void tileOf(int64_t vectors, bool ahead, const float* x, const int64_t* places, const int32_t* offsets, int64_t terms, const float* weights,
            float* sums, int64_t sumStride, bool first) {
  if (vectors >= Vectors) {
    if (ahead) return tile<Rows, Vectors, true, Apart>(x, places, offsets, terms, weights, sums, sumStride, first);
    tile<Rows, Vectors, false, Apart>(x, places, offsets, terms, weights, sums, sumStride, first);
  } else if constexpr (Vectors > 1) {
    tileOf<Rows, Vectors - 1, Apart>(vectors, ahead, x, places, offsets, terms, weights, sums, sumStride, first);
  }
}

// Where the positions of sums are in x.
struct Runs {
  int64_t length, pitch;
};

template <int Rows, bool Apart>
void multiplyRows(const float* x, const int32_t* offsets, int64_t terms, const float* weights, float* sums, int64_t sumStride,
                  int64_t width, bool add, Runs runs) {
  constexpr int kFull = tileVectors(Rows);
  for (int64_t begin = 0; begin < terms; begin += kSumBlock) {
    const int64_t count = terms - begin < kSumBlock ? terms - begin : kSumBlock;
    const float* w = weights + begin * Rows;
    const float* from = x;
    int64_t done = 0;  // of the run that starts at `from`
    for (int64_t j = 0; j < width;) {
      int64_t vectors = (width - j) / kLanes;
      // Two halves rather than a full tile and a lone vector, whose loads would not be amortised.
      if (vectors == kFull + 1 && kFull > 1) vectors = (kFull + 1) / 2;
      if (vectors > kFull) vectors = kFull;
      if constexpr (Apart) {
        int64_t places[kFull];
        for (int64_t n = 0; n < vectors; ++n) {
          places[n] = from + done - x;
          done += kLanes;
          if (done == runs.length) {
            from += runs.pitch;
            done = 0;
          }
        }
        tileOf<Rows, kFull, true>(vectors, j == 0, x, places, offsets + begin, count, w, sums + j, sumStride, !add && begin == 0);
      } else {
        tileOf<Rows, kFull, false>(vectors, j == 0, x + j, nullptr, offsets + begin, count, w, sums + j, sumStride, !add && begin == 0);
      }
      j += vectors * kLanes;
    }
  }
}

template <bool Apart>
void multiplyAny(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums, int64_t sumStride,
                 int64_t width, bool add, Runs runs) {
  switch (rows) {
    case 8:
      if constexpr (kMaxRows == 8) multiplyRows<8, Apart>(x, offsets, terms, weights, sums, sumStride, width, add, runs);
      return;
    case 4:
      return multiplyRows<4, Apart>(x, offsets, terms, weights, sums, sumStride, width, add, runs);
    case 2:
      return multiplyRows<2, Apart>(x, offsets, terms, weights, sums, sumStride, width, add, runs);
    default:
      return multiplyRows<1, Apart>(x, offsets, terms, weights, sums, sumStride, width, add, runs);
  }
}

void multiply(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums, int64_t sumStride,
              int64_t width, bool add) {
  multiplyAny<false>(x, offsets, terms, weights, rows, sums, sumStride, width, add, {});
}

void multiplyBeside(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums, int64_t sumStride,
                    int64_t width, bool add, Fetch beside) {
  constexpr int kFull = tileVectors(kMaxRows);
  if (rows == kMaxRows && width == kFull * kLanes && terms <= kSumBlock)
    return tile<kMaxRows, kFull, true, false, true>(x, nullptr, offsets, terms, weights, sums, sumStride, !add, beside);
  multiply(x, offsets, terms, weights, rows, sums, sumStride, width, add);
}

void multiplyRuns(const float* x, const int32_t* offsets, int64_t terms, const float* weights, int rows, float* sums, int64_t sumStride,
                  int64_t width, int64_t run, int64_t pitch) {
  multiplyAny<true>(x, offsets, terms, weights, rows, sums, sumStride, width, false, {run, pitch});
}
