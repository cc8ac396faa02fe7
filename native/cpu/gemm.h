#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "cpu/gemm_kernels.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Columns of a packed panel: three vectors, what one register tile covers.
inline int64_t panelWidth() {
  return 3 * simd::lanes(simd::active());
}

// Floats of `columns` columns of `terms` elements packed as panels [column / width][term][width].
inline int64_t panelFloats(int64_t columns, int64_t terms) {
  const int64_t width = panelWidth();
  return (columns + width - 1) / width * width * terms;
}

// y[b] = finish(a[b] · B[b]) for many b: a [rows, terms] and y [rows, columns] row-major of one dtype, B as panels.
struct Gemm {
  struct Product {
    const std::byte* a;
    const float* panels;
    std::byte* y;
  };
  std::vector<Product> products;
  int64_t rows, columns, terms;
  core::DType dtype;
  FinishColumns finish;  // scale, bias, alpha of all columns and the activation; the rest is filled in
};

// The same bits for any number of threads, and for a row whatever the other rows. Throws ERR_MEMORY.
void gemm(const Gemm& job, core::Device& device, Pool& pool);

// The same for the first product only, from b as it is, float32 [terms, columns] row-major: for few rows, which would not
// pay for panels. terms · columns of kSumBlock rows must fit 31 bits.
void gemmSkinny(const Gemm& job, const float* b, core::Device& device, Pool& pool);

// y[r, o] = finish(Σ_k x[r, k] · weights[o, k]) for a few rows r ≤ kDotRows of x (float32) and many rows o of weights,
// which are read once, as they are. `finish` has y's dtype. All jobs have one shape.
struct Gemv {
  const float* x;
  int rows;
  const std::byte* weights;
  core::DType weightsType;
  int64_t outputs, terms;
  std::byte* y;
  FinishColumns finish;
};
void gemv(const std::vector<Gemv>& jobs, core::Device& device, Pool& pool);

}  // namespace weightnorm::cpu
