#include <algorithm>
#include <cmath>

#include "harness.h"

// Rows whose squares or scales leave float's range, zero rows, eps, values that are not finite.
namespace testing {

namespace {

struct Layout {
  Shape shape;  // 12 norms of at least 6 elements
  uint32_t reduce;
};
const Layout kLayouts[] = {{{12, 6}, 2},    {{12, 64}, 2},   {{12, 1024}, 2},          {{12, 33000}, 2},      {{8, 12}, 1},
                           {{3000, 12}, 1}, {{6, 12, 3}, 5}, {{2, 12, 2, 1, 600}, 29}, {{3, 2, 2, 2, 5}, 20}, {{2, 3, 2, 2, 3}, 10}};

// Factors of v and g by row: squares overflow, underflow, or are subnormal; scales overflow or are subnormal; both.
struct Range {
  float v, g;
};
const Range kRanges[12] = {{1e25f, 2},       {1e-25f, 3},     {6e-38f, 1}, {3e37f, 1}, {1e30f, 1e-15f}, {1e-30f, 1e20f},
                           {1e-30f, 1e-30f}, {1e19f, 1e-36f}, {0, 2},      {1, 0},     {1e-12f, 1e30f}, {1, 1}};

void ranges(const Layout& layout, DType dtype, std::optional<double> eps) {
  const auto kept = keptIndices(layout.shape, layout.reduce);
  Random random(5);
  auto one = normal(random, 0.2, 1);
  std::vector<float> v(kept.size()), g(12);
  for (size_t i = 0; i < v.size(); ++i) v[i] = kRanges[kept[i]].v * std::max(0.3f, std::fabs(one())) * (i % 3 == 0 ? -1.0f : 1.0f);
  for (size_t i = 0; i < 12; ++i) g[i] = kRanges[i].g;
  const Tensor tv = make(layout.shape, dtype, v), tg = make(layout.shape.reduced(layout.reduce), DType::kFloat32, g);
  core::WeightNormOp op{tv, tg, {}, layout.reduce, eps};
  core::prepare(op);
  backend().run(op);
  core::NormOp norm{tv, {}, layout.reduce};
  core::prepare(norm);
  backend().run(norm);
  const auto ws = read(op.w), ns = read(norm.n), vs = read(tv);
  double sums[12] = {};
  for (size_t i = 0; i < vs.size(); ++i) sums[kept[i]] += vs[i] * vs[i];
  double worst[12] = {}, scales[12] = {};
  for (size_t i = 0; i < v.size(); ++i) {
    const double n = std::sqrt(sums[kept[i]]);
    double scale = g[static_cast<size_t>(kept[i])] / n;
    if (eps && *eps > 0) scale = g[static_cast<size_t>(kept[i])] / std::max(n, *eps);
    if (!eps && n == 0) scale = 0;
    scales[kept[i]] = std::fabs(scale);
    worst[kept[i]] = std::max(worst[kept[i]], ulpsApart(ws[i], vs[i] * scale, dtype));
  }
  const std::string name = layout.shape.str() + " " + core::name(dtype) + (eps ? " eps " + std::to_string(*eps) : "");
  for (size_t i = 0; i < 12; ++i) {
    // Fast math may undo the scaling by powers of 2 that keeps w right where g/‖v‖ is no normal float32.
    const bool mayChange = fastMath() && scales[i] != 0 && (scales[i] < 0x1p-126 || scales[i] >= 0x1p128);
    check(mayChange || worst[i] <= (dtype == DType::kFloat32 ? 4 : 1),
          "range " + std::to_string(i) + " of " + name + ": w " + std::to_string(worst[i]) + " ulp");
    const double apart = ulpsApart(ns[i], std::sqrt(sums[i]), DType::kFloat32);
    check(apart <= 4, "range " + std::to_string(i) + " of " + name + ": n " + std::to_string(apart) + " ulp");
  }
}

// One element outweighs all others of its norm, so much that a look that misses it overflows: the first or the last.
void peaks(const Layout& layout, bool first) {
  const auto kept = keptIndices(layout.shape, layout.reduce);
  std::vector<float> v(kept.size(), 1);
  std::vector<bool> seen(12);
  for (size_t n = 0; n < kept.size(); ++n) {
    const size_t i = first ? n : kept.size() - 1 - n;
    if (!seen[static_cast<size_t>(kept[i])]) v[i] = 1e25f;
    seen[static_cast<size_t>(kept[i])] = true;
  }
  const Tensor tv = make(layout.shape, DType::kFloat32, v);
  core::WeightNormOp op{tv, make(layout.shape.reduced(layout.reduce), DType::kFloat32, std::vector<float>(12, 3)), {}, layout.reduce, {}};
  core::prepare(op);
  backend().run(op);
  const auto ws = read(op.w);
  std::vector<double> sums(12);
  for (size_t i = 0; i < v.size(); ++i) sums[static_cast<size_t>(kept[i])] += double(v[i]) * v[i];
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double want = v[i] * (3 / std::sqrt(sums[static_cast<size_t>(kept[i])]));
    worst = std::max(worst, ulpsApart(ws[i], want, DType::kFloat32));
  }
  check(worst <= 4,
        std::string("peak ") + (first ? "first" : "last") + " of " + layout.shape.str() + ": " + std::to_string(worst) + " ulp");
}

// Rows that are or start from subnormal numbers: exact without flushing, else exact or 0.
void subnormals() {
  std::vector<float> v(4 * 64), g{1, 1e-40f, 3, 1};
  for (size_t i = 0; i < v.size(); ++i) v[i] = i < 64 ? 3e-42f : i < 128 ? 0.5f : i < 192 ? (i % 2 ? 1e-45f : 2e-39f) : 0;
  const Tensor tv = make({4, 64}, DType::kFloat32, v), tg = make({4, 1}, DType::kFloat32, g);
  core::WeightNormOp op{tv, tg, {}, 2, std::nullopt};
  core::prepare(op);
  backend().run(op);
  const auto ws = read(op.w);
  for (size_t row = 0; row < 4; ++row) {
    double sum = 0, worst = 0;
    for (size_t i = 0; i < 64; ++i) sum += double(v[64 * row + i]) * v[64 * row + i];
    for (size_t i = 0; i < 64; ++i) {
      const double want = sum == 0 ? 0 : v[64 * row + i] * double(g[row]) / std::sqrt(sum);
      const double got = ws[64 * row + i];
      if (flushesSubnormals() && got == 0) continue;
      worst = std::max(worst, ulpsApart(got, want, DType::kFloat32));
    }
    check(worst <= 4, "subnormal row " + std::to_string(row) + ": " + std::to_string(worst) + " ulp");
  }
}

void halfRange() {
  std::vector<float> v(2 * 4096, 60000.0f);
  for (size_t i = 4096; i < v.size(); ++i) v[i] = 6e-8f;
  const Tensor tv = make({2, 4096}, DType::kFloat16, v), tg = make({2, 1}, DType::kFloat32, std::vector<float>{64, 64});
  core::WeightNormOp op{tv, tg, {}, 2, std::nullopt};
  core::prepare(op);
  backend().run(op);
  const auto ws = read(op.w);
  double worst = 0;
  for (const double w : ws) worst = std::max(worst, ulpsApart(w, 1, DType::kFloat16));
  check(worst == 0, "half rows whose squares pass the half range: " + std::to_string(worst) + " ulp");
}

void nonFinite() {
  std::vector<float> v(3 * 256, 1.0f);
  v[3] = NAN;
  v[256 + 7] = INFINITY;
  const Tensor tv = make({3, 256}, DType::kFloat32, v), tg = make({3, 1}, DType::kFloat32, std::vector<float>{1, 1, 16});
  core::NormOp norm{tv, {}, 2};
  core::prepare(norm);
  backend().run(norm);
  core::WeightNormOp op{tv, tg, {}, 2, std::nullopt};
  core::prepare(op);
  backend().run(op);
  const auto ns = read(norm.n), ws = read(op.w);
  check(std::isnan(ns[0]) && !std::isfinite(ns[1]) && ns[2] == 16, "norms of rows with NaN and infinity");
  check(!std::isfinite(ws[3]) && !std::isfinite(ws[256 + 7]) && ws[2 * 256] == 1, "weights of rows with NaN and infinity");
}

}  // namespace

void testNormEdges() {
  for (const Layout& layout : kLayouts) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      ranges(layout, dtype, std::nullopt);
      ranges(layout, dtype, 1e-3);
    }
    ranges(layout, DType::kFloat32, 0.0);
    ranges(layout, DType::kFloat32, 1e-60);
    peaks(layout, true);
    peaks(layout, false);
  }
  subnormals();
  halfRange();
  nonFinite();
}

}  // namespace testing
