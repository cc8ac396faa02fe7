#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "harness.h"
#include "softmetal/control.h"

// Sizes one past a tile or a step, and axes that only the largest ranks have: products of small whole numbers, which are exact.
namespace testing {

namespace {

std::function<float()> whole(Random& random) {
  return [&random] { return static_cast<float>(std::uniform_int_distribution<int>(-3, 3)(random)); };
}

void linear(int64_t rows, int64_t K, int64_t outputs) {
  Random random(71);
  core::LinearOp op;
  op.x = make({rows, K}, DType::kFloat32, whole(random));
  op.weight = make({outputs, K}, DType::kFloat32, whole(random));
  core::prepare(op);
  backend().run(op);
  const auto x = read(op.x), w = read(op.weight), y = read(op.y);
  bool same = true;
  for (int64_t i = 0; i < rows * outputs; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += x[static_cast<size_t>(i / outputs * K + k)] * w[static_cast<size_t>(i % outputs * K + k)];
    same = same && y[static_cast<size_t>(i)] == sum;
  }
  check(same, "linear " + std::to_string(rows) + " x " + std::to_string(K) + " -> " + std::to_string(outputs) + " is exact");
}

// a [outer, 1 …, M, K] by b [1, inner, 1 …, K, N], both of the largest rank.
void matmul(int64_t outer, int64_t inner, int64_t M, int64_t K, int64_t N) {
  Random random(73);
  core::MatmulOp op;
  op.a = make({outer, 1, 1, 1, 1, 1, M, K}, DType::kFloat32, whole(random));
  op.b = make({1, inner, 1, 1, 1, 1, K, N}, DType::kFloat32, whole(random));
  core::prepare(op);
  backend().run(op);
  const auto a = read(op.a), b = read(op.b), y = read(op.y);
  bool same = true;
  for (int64_t n = 0; n < outer * inner; ++n) {
    for (int64_t i = 0; i < M * N; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        sum += a[static_cast<size_t>((n / inner * M + i / N) * K + k)] * b[static_cast<size_t>((n % inner * K + k) * N + i % N)];
      }
      same = same && y[static_cast<size_t>(n * M * N + i)] == sum;
    }
  }
  check(same, "matmul of " + op.a.shape.str() + " and " + op.b.shape.str() + " is exact");
}

// Forward and backward over any axes. `size` of v: where its squares overflow, every norm takes its second look.
void norms(const Shape& shape, uint32_t reduce, double size) {
  Random random(83);
  core::WeightNormOp forward;
  forward.v = make(shape, DType::kFloat32, normal(random, size));
  forward.g = make(shape.reduced(reduce), DType::kFloat32, normal(random));
  forward.reduce = reduce;
  core::prepare(forward);
  backend().run(forward);
  core::WeightNormBackwardOp backward;
  backward.gradW = make(shape, DType::kFloat32, normal(random));
  backward.v = forward.v;
  backward.g = forward.g;
  backward.reduce = reduce;
  core::prepare(backward);
  backend().run(backward);
  const auto v = read(forward.v), g = read(forward.g), w = read(forward.w), d = read(backward.gradW), gradV = read(backward.gradV),
             gradG = read(backward.gradG);
  const std::vector<int64_t> kept = keptIndices(shape, reduce);
  std::vector<double> vv(g.size()), vd(g.size());
  for (size_t i = 0; i < v.size(); ++i) {
    const auto k = static_cast<size_t>(kept[i]);
    vv[k] += v[i] * v[i], vd[k] += v[i] * d[i];
  }
  double worst = 0;
  for (size_t k = 0; k < g.size(); ++k) worst = worse(worst, std::fabs(gradG[k] - vd[k] / std::sqrt(vv[k])));
  for (size_t i = 0; i < v.size(); ++i) {
    const auto k = static_cast<size_t>(kept[i]);
    const double scale = g[k] / std::sqrt(vv[k]);
    worst = worse(worst, std::fabs(w[i] - v[i] * scale));
    worst = worse(worst, std::fabs(gradV[i] - scale * (d[i] - v[i] * vd[k] / vv[k])) * size);
  }
  check(worst <= 1e-5, "norms of " + shape.str() + " over " + std::to_string(reduce) + ": off by " + std::to_string(worst));
}

// v [rows, kept, run] with norms over rows and runs: shapes of strips that others do not have.
void strips(int64_t rows, int64_t kept, int64_t run, double size = 1) {
  norms({rows, kept, run}, 5, size);
}

// gradW is huge in every other chunk only, so that half the lanes see no reason to doubt their sums.
void alternating(const Shape& shape, int64_t period) {
  const auto size = static_cast<size_t>(shape.size());
  const size_t columns = static_cast<size_t>(shape[1]);
  std::vector<float> v(size), d(size);
  Random random(79);
  auto one = normal(random, 0.2, 1);
  for (size_t i = 0; i < size; ++i) {
    v[i] = 1e12f * one();
    d[i] = i % columns / static_cast<size_t>(period) % 2 ? 1e28f * one() : one();
  }
  core::WeightNormBackwardOp op;
  op.gradW = make(shape, DType::kFloat32, d);
  op.v = make(shape, DType::kFloat32, v);
  op.g = make({shape[0], 1}, DType::kFloat32, one);
  op.reduce = 2;
  core::prepare(op);
  backend().run(op);
  const auto g = read(op.g), gradV = read(op.gradV), gradG = read(op.gradG);
  double worst = 0;
  for (size_t row = 0; row < g.size(); ++row) {
    double vv = 0, vd = 0;
    for (size_t i = row * columns; i < (row + 1) * columns; ++i) vv += double(v[i]) * v[i], vd += double(v[i]) * d[i];
    worst = worse(worst, std::fabs(gradG[row] / (vd / std::sqrt(vv)) - 1));
    for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
      const double want = g[row] / std::sqrt(vv) * (d[i] - v[i] * (vd / vv)), unit = g[row] / std::sqrt(vv) * 1e28;
      worst = worse(worst, std::fabs(gradV[i] - want) / unit);
    }
  }
  check(worst <= 1e-6, "gradients of " + shape.str() + " where every other lane is huge: off by " + std::to_string(worst));
}

// Bytes that kernels load from device and constant memory while `body` runs.
uint64_t bytesRead(const std::function<void()>& body) {
  softmetal_reset_counters();
  body();
  std::string json(65536, '\0');
  softmetal_counters_json(json.data(), json.size());
  const std::string key = "\"bytesRead\":";
  uint64_t sum = 0;
  for (size_t at = json.find(key); at != std::string::npos; at = json.find(key, at + 1)) {
    sum += std::strtoull(json.c_str() + at + key.size(), nullptr, 10);
  }
  return sum;
}

// Norms of ordinary columns are done at the first look: only sums out of range read the rows again.
void firstLook(const Shape& shape) {
  Random random(89);
  const auto read = [&](float size) {
    core::WeightNormBackwardOp backward;
    backward.gradW = make(shape, DType::kFloat32, normal(random));
    backward.v = make(shape, DType::kFloat32, normal(random, size));
    backward.g = make(shape.reduced(1), DType::kFloat32, normal(random));
    backward.reduce = 1;
    core::WeightNormOp forward;
    forward.v = backward.v, forward.g = backward.g, forward.reduce = 1;
    core::prepare(forward);
    core::prepare(backward);
    return std::pair(bytesRead([&] { backend().run(forward), readBytes(forward.w); }),
                     bytesRead([&] { backend().run(backward), readBytes(backward.gradV); }));
  };
  const auto ordinary = read(1), huge = read(1e25f);
  const uint64_t bytes = static_cast<uint64_t>(shape.size()) * sizeof(float);
  check(ordinary.first + bytes <= huge.first, "weight norm of " + shape.str() + " looks once: " + std::to_string(ordinary.first) +
                                                  " bytes, " + std::to_string(huge.first) + " out of range");
  check(ordinary.second + bytes <= huge.second,
        "its gradients look once: " + std::to_string(ordinary.second) + " bytes, " + std::to_string(huge.second) + " out of range");
}

}  // namespace

void testTails() {
  for (const Shape& shape : {Shape{40, 64}, Shape{40, 7}, Shape{3000, 32}, Shape{3000, 5}}) firstLook(shape);
  // Strips wider than half a small threadgroup, so that its threads hold one row; and batches of one strip.
  strips(6, 4, 66);
  strips(5, 3, 37);
  strips(11, 3, 37);
  // Eight rows a thread, all that registers keep.
  strips(4000, 8, 1);
  // As many reduced axes as there can be.
  norms({2, 2, 2, 2, 2, 2, 2, 3}, 0x55, 1);
  norms({2, 2, 2, 2, 2, 2, 2, 3}, 0x55, 1e25);
  // Last strips that are narrower than the others.
  strips(20, 71, 1);
  strips(20, 71, 1, 1e25);
  strips(7, 23, 3, 1e25);
  alternating({5, 64}, 4);
  alternating({5, 250}, 1);
  alternating({3, 2048}, 4);
  alternating({2, 3001}, 1);
  for (const int64_t K : {1, 15, 16, 17, 32, 33}) {
    linear(5, K, 9);
    linear(33, K, 65);
    matmul(2, 3, 33, K, 17);
  }
}

}  // namespace testing
