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

template <core::DType D>
void packPanelAs(const void* b, int64_t stride, int64_t terms, int64_t count, float* panel, int64_t width) {
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

void finishColumns(const FinishColumns& row) {
  for (int64_t i = 0; i < row.count; i += kLanes) {
    const int lanes = row.count - i < kLanes ? static_cast<int>(row.count - i) : kLanes;
    const Vec scale = row.scale ? loadN(row.scale + i, lanes) : set(1);
    const Vec bias = row.bias ? loadN(row.bias + i, lanes) : zero();
    storeN(row.sum + i, fma(loadN(row.sum + i, lanes), scale, bias), lanes);
  }
  if (row.act == core::Act::kSnake) {
    for (int64_t i = 0; i < row.count; ++i) {
      activateAny(row.act, row.param, row.alpha[i], row.logScale, row.sum + i, row.sum + i, 1);
    }
  } else if (row.act != core::Act::kNone) {
    activateAny(row.act, row.param, 1, false, row.sum, row.sum, row.count);
  }
  convert(row.sum, core::DType::kFloat32, row.y, row.dtype, row.count);
}

}  // namespace

extern const GemmKernels gemmKernels = {dot, packPanel, finishColumns};
