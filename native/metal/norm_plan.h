#pragma once

#include <optional>
#include <string>

#include "core/ops.h"
#include "metal/encoder.h"

// Choice of weight norm kernel, shared by weight_norm.mm, weight_norm_backward.mm, norm.mm and scale.mm.
// The structs are the kernels' own, field by field.
namespace weightnorm::metal {

struct NormRule {
  enum Eps : uint32_t { kUnset, kClamp, kZero };
  enum Output : uint32_t { kWeight, kNorm, kScale };
  uint32_t gType, epsMode;
  float eps;
  uint32_t output;
};
struct RowsParams {
  uint64_t rows;
  uint32_t columns, lanes;
  NormRule rule;
};
struct SplitParams {
  uint64_t columns;
  uint32_t parts, length;
  NormRule rule;
};
struct ColumnsParams {
  uint32_t rows, columns, run, kept, strip, strips, lanes, depth;
  NormRule rule;
};
struct NestParams {
  uint64_t keptSize[4], keptStride[4], reducedSize[4], reducedStride[4], reduced;
  NormRule rule;
};

NormRule normRule(core::DType gType, const std::optional<double>& eps, NormRule::Output output);

// Rows of `columns` elements are read in 16-byte chunks where they keep that alignment, else element by element.
// `suffix` ends the kernel's name: "float16" or "scalar_float16".
struct Chunking {
  uint32_t width;  // elements a chunk
  std::string suffix;
};
Chunking chunking(core::DType dtype, int64_t columns);

// How rows of `chunks` chunks are shared out. `lanes` lanes of a simdgroup own a row, with up to `perThread` chunks each.
struct SimdShare {
  uint32_t lanes, perThread;
};
std::optional<SimdShare> simdShare(int64_t chunks);

// Threads to use of what a pipeline allows, whole simdgroups only.
uint32_t wholeSimdgroups(int64_t threads, uint32_t maxThreads);

// The kernel and launch for `rows` rows that each fit one threadgroup or less; `prefix` is "wn" or "wnb". `perThread`
// lists the chunks a thread of a whole threadgroup may keep, the preferred number first.
struct RowsLaunch {
  const Pipeline& pipeline;
  uint32_t lanes;  // for RowsParams; 32 where a threadgroup owns a row
  uint64_t groups;
  uint32_t threads;
};
RowsLaunch rowsLaunch(Encoder& encoder, const std::string& library, const std::string& prefix, const Chunking& chunks, int64_t rows,
                      int64_t columns, std::initializer_list<int64_t> perThread);

// How to cut few long rows over several threadgroups; nothing where one threadgroup a row does as well.
std::optional<SplitParams> splitRows(int64_t rows, int64_t columns, uint32_t width);

// A nest seen as [batches, rows, kept, run] with norms over rows and run; nothing where it is not one, or runs are long.
struct ColumnNest {
  int64_t batches = 1, rows = 1, kept = 1, run = 1;
};
std::optional<ColumnNest> columnNest(const core::Nest& nest);

// Strips and threads for `width` columns a thread; nothing where one strip needs more than `maxThreads`.
struct ColumnLaunch {
  ColumnsParams params;
  uint64_t groups;
  uint32_t threads;
  uint32_t board;  // bytes of threadgroup memory
};
std::optional<ColumnLaunch> columnLaunch(const ColumnNest& nest, uint32_t width, uint32_t maxThreads);

NestParams nestParams(const core::Nest& nest);

// Encodes w, the norms or the scales of v over the axes of `reduce`. `result` is w, or the float32 norms or scales;
// g may be absent for norms.
void encodeNorm(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, uint32_t reduce,
                const std::optional<double>& eps, NormRule::Output output);

}  // namespace weightnorm::metal
