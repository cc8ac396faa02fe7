#include "cpu/linear.h"

#include <algorithm>

#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/packed.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kTermsAtOnce = 64;  // of a panel, to stay in the first-level cache

// weight [O, I] as panels [O / width][I][width].
const float* packLinear(const core::Tensor& weight, Pool& pool) {
  const int64_t outputs = weight.shape[0], inputs = weight.shape[1], width = panelWidth();
  const PackKey key{'l', width, outputs, inputs, static_cast<int64_t>(weight.dtype)};
  return packed(weight, key, panelFloats(outputs, inputs), [&](float* panels) {
    const std::byte* from = bytesOf(weight);
    const Scratch lines(weight.storage->device(), pool.threads(), kTermsAtOnce);
    pool.parallelFor((outputs + width - 1) / width, [&](int64_t panel, int worker) {
      const int64_t count = std::min(width, outputs - panel * width);
      float* const line = lines.of(worker);
      for (int64_t first = 0; first < inputs; first += kTermsAtOnce) {
        float* const to = panels + (panel * inputs + first) * width;
        const int64_t terms = std::min(kTermsAtOnce, inputs - first);
        if (count < width) std::fill_n(to, terms * width, 0.0f);
        for (int64_t j = 0; j < count; ++j) {
          const std::byte* row = from + static_cast<uint64_t>((panel * width + j) * inputs + first) * sizeOf(weight.dtype);
          get_vecTable().convert(row, weight.dtype, line, core::DType::kFloat32, terms);
          for (int64_t k = 0; k < terms; ++k) to[k * width + j] = line[k];
        }
      }
    });
  });
}

}  // namespace

void linear(const core::LinearOp& op, Pool& pool) {
  core::Device& device = op.y.storage->device();
  const int64_t outputs = op.weight.shape[0], inputs = op.weight.shape[1], rows = op.x.size() / inputs;
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

  if (rows <= kDotRows) {
    const Scratch x(device, 1, op.x.size());
    get_vecTable().convert(bytesOf(op.x), op.x.dtype, x.of(0), core::DType::kFloat32, op.x.size());
    gemv({{x.of(0), static_cast<int>(rows), bytesOf(op.weight), op.weight.dtype, outputs, inputs, dataOf<std::byte>(op.y), finish}}, device,
         pool);
    return;
  }
  const float* panels = packLinear(op.weight, pool);
  gemm({{{bytesOf(op.x), panels, dataOf<std::byte>(op.y)}}, rows, outputs, inputs, op.x.dtype, finish}, device, pool);
}

}  // namespace weightnorm::cpu
