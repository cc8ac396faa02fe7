#include "cpu/linear.h"

#include <algorithm>
#include <cstring>

#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/packed.h"
#include "cpu/prefetch.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kTermsAtOnce = 64;  // of a panel, to stay in the first-level cache
constexpr int64_t kMostColumns = 8;

// to[k · width + j] = weight[row + j, first + k] for k < terms, and 0 for count <= j < width, Columns at a time, which divide
// the width. `scratch` holds 2 · Columns · terms floats.
template <int64_t Columns>
void packPiece(const core::Tensor& weight, int64_t row, int64_t count, int64_t first, int64_t terms, float* scratch, float* to) {
  const int64_t width = panelWidth(), inputs = weight.shape[1];
  const bool wide = weight.dtype == core::DType::kFloat32;
  float* const mixed = scratch + Columns * terms;
  for (int64_t j = 0; j < width; j += Columns) {
    const float* lines[Columns];
    for (int64_t c = 0; c < Columns; ++c) {
      float* const line = scratch + c * terms;
      lines[c] = line;
      if (j + c >= count) {
        std::fill_n(line, terms, 0.0f);
        continue;
      }
      const std::byte* from = bytesOf(weight) + static_cast<uint64_t>((row + j + c) * inputs + first) * sizeOf(weight.dtype);
      if (wide) {
        lines[c] = reinterpret_cast<const float*>(from);
      } else {
        get_vecTable().convert(from, weight.dtype, line, core::DType::kFloat32, terms);
      }
    }
    fetchToWrite(to + (width + j) * terms, Columns * terms);  // where the next terms go
    get_convKernels().interleave(lines, Columns, terms, mixed);
    for (int64_t k = 0; k < terms; ++k) std::memcpy(to + k * width + j, mixed + k * Columns, Columns * sizeof(float));
  }
}

// weight [O, I] as panels [O / width][I][width].
const float* packLinear(const core::Tensor& weight, const core::Tensor& scale, Pool& pool) {
  const int64_t outputs = weight.shape[0], inputs = weight.shape[1], width = panelWidth();
  const PackKey key{'l', width, outputs, inputs, static_cast<int64_t>(weight.dtype)};
  return packed(weight, scale, key, panelFloats(outputs, inputs), [&](float* panels, const auto& rowsRead) {
    const Scratch scratch(weight.storage->device(), pool.threads(), 2 * kMostColumns * kTermsAtOnce);
    pool.parallelFor((outputs + width - 1) / width, [&](int64_t panel, int worker) {
      const int64_t firstRow = panel * width, count = std::min(width, outputs - firstRow);
      rowsRead(firstRow, firstRow + count);
      for (int64_t first = 0; first < inputs; first += kTermsAtOnce) {
        const int64_t terms = std::min(kTermsAtOnce, inputs - first);
        (width % kMostColumns == 0 ? packPiece<kMostColumns> : packPiece<kMostColumns / 2>)(weight, firstRow, count, first, terms,
                                                                                            scratch.of(worker),
                                                                                            panels + (panel * inputs + first) * width);
      }
    });
  });
}

}  // namespace

void linear(const core::LinearOp& op, Pool& pool) {
  core::Device& device = op.y.storage->device();
  const int64_t outputs = op.weight.shape[0], inputs = op.weight.shape[1], rows = op.x.size() / inputs;
  const bool few = !op.direct && rows <= kDotRows;
  // Before the scale is asked for, which packing may compute.
  const float* const panels = few ? nullptr : packLinear(op.weight, op.scale, pool);
  const std::vector<float> scale = channelValues(op.scale, outputs), bias = channelValues(op.bias, outputs),
                           alpha = channelValues(op.post.alpha, outputs);
  const auto pointer = [](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
  FinishColumns finish{};
  finish.dtype = op.y.dtype;
  finish.scale = pointer(scale);
  finish.bias = pointer(bias);
  finish.alpha = pointer(alpha);
  finish.act = op.post.kind;
  finish.param = op.post.param;
  finish.logScale = op.post.logScale;

  if (few) {
    const Scratch x(device, 1, op.x.size());
    get_vecTable().convert(bytesOf(op.x), op.x.dtype, x.of(0), core::DType::kFloat32, op.x.size());
    gemv({{x.of(0), static_cast<int>(rows), bytesOf(op.weight), op.weight.dtype, outputs, inputs, dataOf<std::byte>(op.y), finish}}, device,
         pool);
    return;
  }
  gemm({{{bytesOf(op.x), panels, dataOf<std::byte>(op.y)}}, rows, outputs, inputs, op.x.dtype, finish}, device, pool);
}

}  // namespace weightnorm::cpu
