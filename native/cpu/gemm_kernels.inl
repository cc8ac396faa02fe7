namespace {

// Rows left rows against Outputs weight rows, along the terms. Each block of kSumBlock vectors is summed on its own.
template <core::DType D, int Rows, int Outputs>
WN_INLINE void dotBlock(const float* x, const void* weights, int64_t first, int64_t terms, float* sums, int64_t sumStride) {
  float totals[Rows][Outputs] = {};
  for (int64_t begin = 0; begin < terms; begin += kSumBlock * kLanes) {
    const int64_t end = terms - begin < kSumBlock * kLanes ? terms : begin + kSumBlock * kLanes;
    Vec c[Rows][Outputs];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int o = 0; o < Outputs; ++o) c[r][o] = zero();
    }
    int64_t k = begin;
    for (; k + kLanes <= end; k += kLanes) {
      Vec v[Rows];
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) v[r] = load(x + r * terms + k);
#pragma GCC unroll 8
      for (int o = 0; o < Outputs; ++o) {
        const Vec w = loadAs<D>(weights, (first + o) * terms + k);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) accumulate(c[r][o], w, v[r]);
      }
    }
    if (k < end) {
      const int rest = static_cast<int>(end - k);
#pragma GCC unroll 8
      for (int o = 0; o < Outputs; ++o) {
        const Vec w = loadAsN<D>(weights, (first + o) * terms + k, rest);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) accumulate(c[r][o], w, loadN(x + r * terms + k, rest));
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int o = 0; o < Outputs; ++o) totals[r][o] += sum(c[r][o]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int o = 0; o < Outputs; ++o) sums[r * sumStride + first + o] = totals[r][o];
  }
}

template <core::DType D, int Rows>
void dotRows(const float* x, const void* weights, int64_t outputs, int64_t terms, float* sums, int64_t sumStride) {
  constexpr int kOutputs = Rows == 1 ? 4 : Rows == 2 ? 4 : kVectorRegisters == 32 ? 4 : 2;
  int64_t o = 0;
  for (; o + kOutputs <= outputs; o += kOutputs) dotBlock<D, Rows, kOutputs>(x, weights, o, terms, sums, sumStride);
  for (; o < outputs; ++o) dotBlock<D, Rows, 1>(x, weights, o, terms, sums, sumStride);
}

template <core::DType D>
void dotAs(const float* x, int rows, const void* weights, int64_t outputs, int64_t terms, float* sums, int64_t sumStride) {
  if (rows == 1) return dotRows<D, 1>(x, weights, outputs, terms, sums, sumStride);
  if (rows == 2) return dotRows<D, 2>(x, weights, outputs, terms, sums, sumStride);
  if (rows == 3) return dotRows<D, 3>(x, weights, outputs, terms, sums, sumStride);
  return dotRows<D, 4>(x, weights, outputs, terms, sums, sumStride);
}

void dot(const float* x, int rows, const void* weights, core::DType dtype, int64_t outputs, int64_t terms, float* sums, int64_t sumStride) {
  using core::DType;
  if (dtype == DType::kFloat32) return dotAs<DType::kFloat32>(x, rows, weights, outputs, terms, sums, sumStride);
  if (dtype == DType::kFloat16) return dotAs<DType::kFloat16>(x, rows, weights, outputs, terms, sums, sumStride);
  return dotAs<DType::kBFloat16>(x, rows, weights, outputs, terms, sums, sumStride);
}

// Whole panels: kVectors vectors a term.
template <core::DType D, int kVectors>
WN_INLINE void packVectors(const void* b, int64_t stride, int64_t terms, float* panel) {
  for (int64_t k = 0; k < terms; ++k, panel += kVectors * kLanes) {
    for (int c = 0; c < kVectors; ++c) store(panel + c * kLanes, loadAs<D>(b, k * stride + c * kLanes));
  }
}

template <core::DType D>
void packPanelAs(const void* b, int64_t stride, int64_t terms, int64_t count, float* panel, int64_t width) {
  if (count == 3 * kLanes && width == count) return packVectors<D, 3>(b, stride, terms, panel);
  for (int64_t k = 0; k < terms; ++k) {
    int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes) store(panel + j, loadAs<D>(b, k * stride + j));
    if (j < count) {
      store(panel + j, loadAsN<D>(b, k * stride + j, static_cast<int>(count - j)));
      j += kLanes;
    }
    for (; j < width; j += kLanes) store(panel + j, zero());
    panel += width;
  }
}

void packPanel(const void* b, core::DType dtype, int64_t stride, int64_t terms, int64_t count, float* panel, int64_t width) {
  using core::DType;
  if (dtype == DType::kFloat32) return packPanelAs<DType::kFloat32>(b, stride, terms, count, panel, width);
  if (dtype == DType::kFloat16) return packPanelAs<DType::kFloat16>(b, stride, terms, count, panel, width);
  return packPanelAs<DType::kBFloat16>(b, stride, terms, count, panel, width);
}

WN_INLINE Vec scaledColumns(const FinishColumns& f, const float* sum, int64_t i, int lanes) {
  const Vec scale = f.scale ? loadN(f.scale + i, lanes) : set(1);
  const Vec bias = f.bias ? loadN(f.bias + i, lanes) : zero();
  return fma(loadN(sum + i, lanes), scale, bias);
}

// float32 without an activation, whole vectors: straight to y, the columns' numbers loaded once for all rows.
void finishPlain(const FinishColumns& f) {
  for (int64_t i = 0; i < f.count; i += kLanes) {
    const Vec scale = f.scale ? load(f.scale + i) : set(1), bias = f.bias ? load(f.bias + i) : zero();
    const float* sum = f.sum + i;
    float* y = static_cast<float*>(f.y) + i;
    for (int64_t r = 0; r < f.rows; ++r, sum += f.sumStride, y += f.yStride) store(y, fma(load(sum), scale, bias));
  }
}

void finishColumns(const FinishColumns& f) {
  if (f.dtype == core::DType::kFloat32 && f.act == core::Act::kNone && f.count % kLanes == 0) return finishPlain(f);
  const int64_t size = f.dtype == core::DType::kFloat32 ? 4 : 2;
  for (int64_t r = 0; r < f.rows; ++r) {
    float* const sum = f.sum + r * f.sumStride;
    for (int64_t i = 0; i < f.count; i += kLanes) {
      const int lanes = f.count - i < kLanes ? static_cast<int>(f.count - i) : kLanes;
      storeN(sum + i, scaledColumns(f, sum, i, lanes), lanes);
    }
    if (f.act == core::Act::kSnake) {
      for (int64_t i = 0; i < f.count; ++i) activateAny(f.act, f.param, f.alpha[i], f.logScale, sum + i, sum + i, 1);
    } else if (f.act != core::Act::kNone) {
      activateAny(f.act, f.param, 1, false, sum, sum, f.count);
    }
    convert(sum, core::DType::kFloat32, static_cast<char*>(f.y) + r * f.yStride * size, f.dtype, f.count);
  }
}

}  // namespace

extern const GemmKernels gemmKernels = {dot, packPanel, finishColumns};
