#include <cmath>
#include <cstdlib>

#include "harness.h"

// Linear layers and matrix products over every kernel, with Metal Performance Shaders and without.
namespace testing {

namespace {

void linear(int64_t rows, int64_t K, int64_t outputs, DType dtype, int scale, bool bias, core::Act post,
            std::optional<DType> biasType = std::nullopt) {
  Random random(51);
  core::LinearOp op;
  op.x = make({rows, K}, dtype, normal(random));
  op.weight = make({outputs, K}, dtype, normal(random, 0.2));
  if (bias) op.bias = make({outputs}, biasType.value_or(dtype), normal(random));
  if (scale) op.scale = make({scale == 1 ? 1 : outputs}, DType::kFloat32, normal(random, 0.2, 1));
  op.post = {post, 0.1f, false, {}};
  core::prepare(op);
  backend().run(op);
  const auto x = read(op.x), w = read(op.weight), y = read(op.y);
  const auto b = bias ? read(op.bias) : std::vector<double>(), s = scale ? read(op.scale) : std::vector<double>();
  std::vector<double> want(y.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += x[static_cast<size_t>(r * K + k)] * w[static_cast<size_t>(o * K + k)];
      if (scale) sum *= s[scale == 1 ? 0 : static_cast<size_t>(o)];
      if (bias) sum += b[static_cast<size_t>(o)];
      if (post == core::Act::kLeakyRelu && sum < 0) sum *= 0.1f;
      want[static_cast<size_t>(r * outputs + o)] = sum;
    }
  }
  const double error = relativeError(y, want);
  const double allowed = 3e-6 * std::max(1.0, std::sqrt(static_cast<double>(K) / 4096)) + (dtype == DType::kFloat32 ? 0 : ulp(1, dtype));
  check(error <= allowed, "linear " + std::to_string(rows) + " x " + std::to_string(K) + " -> " + std::to_string(outputs) + " " +
                              core::name(dtype) + ": error " + std::to_string(error));
}

void matmul(const Shape& a, const Shape& b, DType dtype) {
  Random random(61);
  core::MatmulOp op;
  op.a = make(a, dtype, normal(random));
  op.b = make(b, dtype, normal(random));
  core::prepare(op);
  backend().run(op);
  const auto x = read(op.a), z = read(op.b), y = read(op.y);
  const Shape& out = op.y.shape;
  const int64_t M = a[a.rank() - 2], K = a[a.rank() - 1], N = b[b.rank() - 1], batches = out.size() / (M * N);
  // Offset of a batch in a factor, its leading axes broadcast.
  const auto offset = [&](const Shape& shape, int64_t batch, int64_t matrix) {
    int64_t at = 0, step = 1;
    for (int i = out.rank() - 3, j = shape.rank() - 3; i >= 0; --i, --j) {
      const int64_t index = batch % out[i];
      batch /= out[i];
      if (j < 0) continue;
      if (shape[j] != 1) at += index * step;
      step *= shape[j];
    }
    return at * matrix;
  };
  std::vector<double> want(y.size());
  for (int64_t n = 0; n < batches; ++n) {
    const int64_t ao = offset(a, n, M * K), bo = offset(b, n, K * N);
    for (int64_t i = 0; i < M; ++i) {
      for (int64_t k = 0; k < K; ++k) {
        const double left = x[static_cast<size_t>(ao + i * K + k)];
        for (int64_t j = 0; j < N; ++j) want[static_cast<size_t>((n * M + i) * N + j)] += left * z[static_cast<size_t>(bo + k * N + j)];
      }
    }
  }
  const double error = relativeError(y, want);
  check(error <= 3e-6 + (dtype == DType::kFloat32 ? 0 : ulp(1, dtype)),
        "matmul " + a.str() + " " + b.str() + " " + core::name(dtype) + ": error " + std::to_string(error));
}

void every() {
  using core::Act;
  for (const DType dtype : kDTypes) {
    for (const int64_t rows : {1, 3, 8, 9, 33, 70}) {
      linear(rows, 40, 50, dtype, 2, true, Act::kLeakyRelu);
      linear(rows, 37, 19, dtype, 0, false, Act::kNone);
    }
    linear(300, 24, 900, dtype, 1, true, Act::kNone);
    linear(5, 24, 20, dtype, 1, true, Act::kNone, DType::kFloat32);
    matmul({5, 7}, {7, 9}, dtype);
    matmul({3, 33, 20}, {20, 40}, dtype);
    matmul({2, 1, 17, 12}, {3, 12, 36}, dtype);
    matmul({1, 12}, {4, 12, 5}, dtype);
    matmul({2, 3, 40, 8}, {2, 3, 8, 40}, dtype);
    matmul({300, 16}, {16, 900}, dtype);
  }
  // Large enough for Metal Performance Shaders, with and without an epilogue.
  linear(256, 256, 256, DType::kFloat32, 2, true, Act::kLeakyRelu);
  linear(256, 256, 256, DType::kFloat32, 0, false, Act::kNone);
  linear(256, 256, 256, DType::kFloat16, 2, true, Act::kNone);
  linear(192, 256, 384, DType::kFloat32, 0, false, Act::kNone);
  matmul({2, 128, 256}, {256, 256}, DType::kFloat32);
  matmul({192, 256}, {256, 384}, DType::kFloat32);
}

}  // namespace

void testProducts() {
  unsetenv("WEIGHTNORM_MPS");
  every();
  setenv("WEIGHTNORM_MPS", "0", 1);
  every();
  unsetenv("WEIGHTNORM_MPS");
}

}  // namespace testing
