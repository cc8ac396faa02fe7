#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/simd/isa.h"

namespace weightnorm::cpu {

// What is added up under one kept index: v², x, or v² and gradW·v side by side. All in float64, where squares and
// products of float32 values are exact and neither overflow nor underflow.
enum class Term : uint8_t { kSquare, kValue, kSquareAndProduct };

// What is done with each element: w = v · s in float32; the same with a float64 s, for scales outside float32's normal
// range; gradV = a · (gradW − v · b) in float64, or, for kernels to choose, in pairs of float32 numbers.
enum class Apply : uint8_t { kScale, kWideScale, kGradient, kPairGradient };

// The last two axes of a nest. kRows: each row has its own kept index; kColumns: each column has.
enum class Leaf : uint8_t { kRows, kColumns };

// A block of `rows` × `length` elements with `stride` elements from row to row, `offset` elements into the tensors.
// `fetch`: a tensor of the same dtype, of which sums of rows fetch the same elements because they are written next; may be
// null. Sums of rows that are in cache leave memory idle.
struct Block {
  int64_t offset, rows, stride, length;
  const void* fetch = nullptr;
};

// Numbers by kept index of the block; `s` for kScale, `a` for kWideScale, `a` and `b` for kGradient.
struct Coefficients {
  const float* s = nullptr;
  const double* a = nullptr;
  const double* b = nullptr;
};

// `stream`: stores bypass the caches. `ahead`: elements between what is written and what will be read next, which is
// fetched meanwhile; 0 for none.
struct Stores {
  bool stream = false;
  int64_t ahead = 0;
};

// Kernels may read, but not use, up to a vector past the elements of a tensor; `eps` is negative where it is unset.
struct NormKernels {
  // first[k] += Σ of the term (for kSquareAndProduct: squares of v; second[k] += Σ gradW·v).
  using Sum = void (*)(const void* v, const void* gradW, const Block& block, double* first, double* second);
  Sum sum[3][2][3];  // [Term][Leaf][DType]

  using Write = void (*)(const void* v, const void* gradW, void* out, const Block& block, const Coefficients& by, Stores stores);
  Write write[3][2][3];  // [Apply][Leaf][DType], kPairGradient left out

  // sums[k] += the sum of `inner` neighbours of `terms`, for k < count.
  void (*addRuns)(const double* terms, int64_t count, int64_t inner, double* sums);
  // Each of `count` numbers `inner` times in a row. Up to a vector past the end is overwritten.
  void (*spreadFloats)(const float* from, int64_t count, int64_t inner, float* to);
  void (*spreadDoubles)(const double* from, int64_t count, int64_t inner, double* to);
  // All of `count` numbers, `times` times in a row, with the same liberty; also reads up to a vector past the end.
  void (*repeatFloats)(const float* from, int64_t count, int64_t times, float* to);
  void (*repeatDoubles)(const double* from, int64_t count, int64_t times, double* to);

  // n[i] = √squares[i], rounded to float32.
  void (*norms)(const double* squares, int64_t count, float* n);

  // s[i] = g[first + i] / n[i] in float32; returns whether every n and s is a normal float32 (or a zero that is right).
  using Scales = bool (*)(const double* squares, const void* g, int64_t first, int64_t count, double eps, float* s);
  Scales scales[3];  // [DType of g]

  // gradG[first + i] in g's dtype and a, b of kGradient.
  using Gradients = void (*)(const double* squares, const double* products, const void* g, void* gradG, int64_t first, int64_t count,
                             double eps, double* a, double* b);
  Gradients gradients[3];  // [DType of g]

  // All of the above for whole rows that belong to kept indices first, first + 1, …: the same bits, in one pass over the cache.
  // Returns how many rows are done: the next one is for the other kernels, because its n or s is no normal float32.
  using Normalise = int64_t (*)(const void* v, const void* g, core::DType gType, void* w, const Block& rows, int64_t first, double eps);
  Normalise normalise[3];  // [DType of v]
  // Likewise; the next row's sum of squares is 0 or not finite.
  using Differentiate = int64_t (*)(const void* gradW, const void* v, const void* g, core::DType gType, void* gradV, void* gradG,
                                    const Block& rows, int64_t first, double eps);
  Differentiate differentiate[3];  // [DType of v]
};

WEIGHTNORM_KERNELS(NormKernels, normKernels)

}  // namespace weightnorm::cpu
