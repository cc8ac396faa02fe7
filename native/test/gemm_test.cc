// Linear layers and matrix products against float64 loops: random shapes, dtypes, instruction sets and thread counts.

#include "cpu/gemm.h"

#include <algorithm>

#include "cpu/linear.h"
#include "cpu/matmul.h"
#include "testing.h"

using namespace testing;
using core::LinearOp;
using core::MatmulOp;
using core::Shape;

namespace {

std::string text(const char* isa, const char* what, int64_t rows, int64_t columns, int64_t terms, DType dtype) {
  return std::string(isa) + " " + what + " " + std::to_string(rows) + "x" + std::to_string(columns) + " terms " + std::to_string(terms) +
         " " + core::name(dtype);
}

void testLinear(const char* isa, int64_t rows, int64_t outputs, int64_t inputs, DType dtype, float mean, std::mt19937& random,
                cpu::Pool& one, cpu::Pool& many) {
  LinearOp op;
  op.x = randomTensor({rows, inputs}, dtype, random, mean);
  op.weight = randomTensor({outputs, inputs}, dtype, random, mean);
  op.y = empty({rows, outputs}, dtype);
  if (random() % 2) op.bias = randomTensor({outputs}, dtype, random);
  if (random() % 2) op.scale = randomTensor({random() % 2 ? outputs : 1}, DType::kFloat32, random, 1, 0.1f);
  const core::Act acts[] = {core::Act::kNone, core::Act::kNone, core::Act::kGelu, core::Act::kSnake};
  op.post.kind = acts[random() % 4];
  if (op.post.kind == core::Act::kSnake) op.post.alpha = randomTensor({outputs}, dtype, random, 1, 0.1f);

  const std::vector<double> x = values(op.x), w = values(op.weight);
  std::vector<double> want;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = 0;
      for (int64_t k = 0; k < inputs; ++k) sum += x[static_cast<size_t>(r * inputs + k)] * w[static_cast<size_t>(o * inputs + k)];
      if (op.scale) sum *= readElement(op.scale, op.scale.size() == 1 ? 0 : o);
      if (op.bias) sum += readElement(op.bias, o);
      want.push_back(applyActivation(op.post, sum, op.post.alpha ? readElement(op.post.alpha, o) : 1));
    }
  }
  cpu::linear(op, one);
  const std::string name = text(isa, "linear", rows, outputs, inputs, dtype);
  const double error = relativeError(op.y, want);
  check(error <= layerTolerance(inputs, dtype), name + ": relative error " + std::to_string(error));
  LinearOp again = op;
  again.y = empty(op.y.shape, dtype);
  cpu::linear(again, many);
  check(sameBits(op.y, again.y), name + ": other bits with more threads");
}

void testMatmul(const char* isa, const Shape& a, const Shape& b, const Shape& y, DType dtype, std::mt19937& random, cpu::Pool& one,
                cpu::Pool& many) {
  MatmulOp op{randomTensor(a, dtype, random), randomTensor(b, dtype, random), empty(y, dtype)};
  const int rank = y.rank();
  const int64_t M = y[rank - 2], N = y[rank - 1], K = a[a.rank() - 1];
  const std::vector<double> av = values(op.a), bv = values(op.b);
  std::vector<double> want(static_cast<size_t>(y.size()));
  // Offsets of the operands by walking y's leading axes.
  const auto offset = [&](const Shape& s, int64_t matrix) {
    const auto strides = s.strides();
    int64_t at = 0;
    for (int axis = rank - 3; axis >= 0; --axis) {
      const int own = axis - (rank - s.rank());
      if (own >= 0 && s[own] > 1) at += matrix % y[axis] * strides[static_cast<size_t>(own)];
      matrix /= y[axis];
    }
    return at;
  };
  for (int64_t m = 0; m < y.size() / (M * N); ++m) {
    for (int64_t i = 0; i < M; ++i) {
      for (int64_t j = 0; j < N; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < K; ++k)
          sum += av[static_cast<size_t>(offset(a, m) + i * K + k)] * bv[static_cast<size_t>(offset(b, m) + k * N + j)];
        want[static_cast<size_t>((m * M + i) * N + j)] = sum;
      }
    }
  }
  cpu::matmul(op, one);
  const std::string name = std::string(isa) + " matmul " + a.str() + " by " + b.str() + " " + core::name(dtype);
  const double error = relativeError(op.y, want);
  check(error <= layerTolerance(K, dtype), name + ": relative error " + std::to_string(error));
  MatmulOp again = op;
  again.y = empty(y, dtype);
  cpu::matmul(again, many);
  check(sameBits(op.y, again.y), name + ": other bits with more threads");
}

}  // namespace

int main() {
  onEveryIsa([](cpu::simd::Isa isa) {
    cpu::Pool one(1), many(3);
    std::mt19937 random(static_cast<unsigned>(isa) + 1);
    const auto range = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
    };
    const auto dtype = [&] { return static_cast<DType>(random() % 4 % 3); };
    for (int i = 0; i < 120; ++i) {
      testLinear(name(isa), random() % 2 ? range(1, 6) : range(1, 230), range(1, 130), range(1, 200), dtype(), 0, random, one, many);
    }
    for (const int64_t rows : {1, 3, 9}) {
      for (const float mean : {0.0f, 0.5f}) {
        testLinear(name(isa), rows, 7, 65536, DType::kFloat32, mean, random, one, many);
        testLinear(name(isa), rows, 50, 5000, DType::kFloat32, mean, random, one, many);
      }
    }
    for (int i = 0; i < 80; ++i) {
      const int64_t M = range(1, 40), N = random() % 3 ? range(1, 90) : range(1, 5), K = range(1, 90), B = range(1, 4), C = range(1, 3);
      testMatmul(name(isa), {M, K}, {K, N}, {M, N}, dtype(), random, one, many);
      testMatmul(name(isa), {B, M, K}, {K, N}, {B, M, N}, dtype(), random, one, many);
      testMatmul(name(isa), {B, 1, M, K}, {C, K, N}, {B, C, M, N}, dtype(), random, one, many);
      testMatmul(name(isa), {M, K}, {B, C, K, N}, {B, C, M, N}, dtype(), random, one, many);
    }
    for (int i = 0; i < 20; ++i) {
      const int64_t M = range(1, 9), N = range(5, 1200), K = range(1, 1100);
      testMatmul(name(isa), {M, K}, {K, N}, {M, N}, dtype(), random, one, many);
    }
    testMatmul(name(isa), {3, 20000}, {20000, 50}, {3, 50}, DType::kFloat32, random, one, many);
  });
  return report("native-gemm");
}
