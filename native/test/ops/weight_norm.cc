#include "cpu/weight_norm.h"

#include <numeric>

#include "check.h"
#include "cpu/norm.h"
#include "cpu/reduce.h"
#include "cpu/scale.h"
#include "cpu/weight_norm_backward.h"

// Random shapes, masks and dtypes against float64, and the same bits for any number of threads.
namespace testing {

namespace {

struct Case {
  Tensor v, g, gradW;
  uint32_t reduce;
  std::string name;
};

// Float64 results on the stored values.
struct Reference {
  std::vector<int64_t> kept;
  std::vector<double> n, product, gradNorm;

  explicit Reference(const Case& c) : kept(keptIndices(c.v.shape, c.reduce)) {
    const size_t count = static_cast<size_t>(c.v.shape.reduced(c.reduce).size());
    n.assign(count, 0), product.assign(count, 0), gradNorm.assign(count, 0);
    const std::vector<float> v = floats(c.v), gradW = floats(c.gradW);
    for (size_t i = 0; i < v.size(); ++i) {
      const size_t k = static_cast<size_t>(kept[i]);
      n[k] += static_cast<double>(v[i]) * v[i];
      product[k] += static_cast<double>(gradW[i]) * v[i];
      gradNorm[k] += static_cast<double>(gradW[i]) * gradW[i];
    }
    for (size_t k = 0; k < count; ++k) n[k] = std::sqrt(n[k]), gradNorm[k] = std::sqrt(gradNorm[k]);
  }
};

Case randomCase(Random& random, const Shape& shape, uint32_t reduce, DType dtype, DType gainType) {
  const Shape kept = shape.reduced(reduce);
  return {make(shape, dtype, normals(random, shape.size(), 0.1f)), make(kept, gainType, normals(random, kept.size())),
          make(shape, dtype, normals(random, shape.size())), reduce, describe(shape, reduce, dtype)};
}

// Runs op on each pool into a fresh output and checks that the bits agree; returns the last output.
Tensor onEveryPool(const Shape& shape, DType dtype, const std::string& what,
                   const std::function<void(const Tensor& out, cpu::Pool& pool)>& run) {
  Tensor last;
  for (cpu::Pool* pool : pools()) {
    const Tensor out = empty(shape, dtype);
    run(out, *pool);
    if (last) check(bits(out) == bits(last), what + ": other bits with " + std::to_string(pool->threads()) + " threads");
    last = out;
  }
  return last;
}

void checkForward(const Case& c, const Reference& reference) {
  const std::vector<float> v = floats(c.v), g = floats(c.g);
  const Tensor n = onEveryPool(c.g.shape, DType::kFloat32, "norm " + c.name,
                               [&](const Tensor& out, cpu::Pool& pool) { cpu::norm({c.v, out, c.reduce}, pool); });
  double worst = 0;
  const std::vector<float> norms = floats(n);
  for (size_t k = 0; k < norms.size(); ++k) worst = std::max(worst, ulpsApart(norms[k], reference.n[k]));
  check(worst <= 1, "norm " + c.name + " is " + std::to_string(worst) + " ulp off");

  const Tensor w = onEveryPool(c.v.shape, c.v.dtype, "weightNorm " + c.name,
                               [&](const Tensor& out, cpu::Pool& pool) { cpu::weightNorm({c.v, c.g, out, c.reduce, std::nullopt}, pool); });
  worst = 0;
  const std::vector<float> weights = floats(w);
  for (size_t i = 0; i < v.size(); ++i) {
    const size_t k = static_cast<size_t>(reference.kept[i]);
    worst = std::max(worst, ulpsApart(weights[i], v[i] * (g[k] / reference.n[k]), c.v.dtype));
  }
  check(worst <= (c.v.dtype == DType::kFloat32 ? 4 : 1), "weightNorm " + c.name + " is " + std::to_string(worst) + " ulp off");
}

void checkBackward(const Case& c, const Reference& reference) {
  const std::vector<float> v = floats(c.v), g = floats(c.g), gradW = floats(c.gradW);
  Tensor gradG;
  const Tensor gradV = onEveryPool(c.v.shape, c.v.dtype, "gradV " + c.name, [&](const Tensor& out, cpu::Pool& pool) {
    const Tensor other = empty(c.g.shape, c.g.dtype);
    cpu::weightNormBackward({c.gradW, c.v, c.g, out, other, c.reduce, std::nullopt}, pool);
    if (gradG) check(bits(other) == bits(gradG), "gradG " + c.name + ": other bits");
    gradG = other;
  });
  std::vector<double> largest(g.size(), 0);
  for (size_t i = 0; i < v.size(); ++i) {
    const size_t k = static_cast<size_t>(reference.kept[i]);
    largest[k] = std::max(largest[k], std::abs(g[k] / reference.n[k] * gradW[i]));
  }
  const std::vector<float> gotV = floats(gradV), gotG = floats(gradG);
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const size_t k = static_cast<size_t>(reference.kept[i]);
    const double n = reference.n[k];
    const double want = g[k] / n * (gradW[i] - v[i] / n * (reference.product[k] / n));
    const double allowed = c.v.dtype == DType::kFloat32 ? 2 * ulp(largest[k]) : 2 * ulp(largest[k]) + ulp(want, c.v.dtype);
    worst = worse(worst, std::abs(gotV[i] - want) / allowed);
  }
  check(worst <= 1, "gradV " + c.name + " is " + std::to_string(worst) + " times its tolerance off");
  worst = 0;
  for (size_t k = 0; k < g.size(); ++k) {
    const double want = reference.product[k] / reference.n[k];
    const double allowed = 2 * ulp(reference.gradNorm[k]) + (c.g.dtype == DType::kFloat32 ? 0 : ulp(want, c.g.dtype));
    worst = worse(worst, std::abs(gotG[k] - want) / allowed);
  }
  check(worst <= 1, "gradG " + c.name + " is " + std::to_string(worst) + " times its tolerance off");
}

void checkReduce(const Case& c) {
  const std::vector<float> x = floats(c.v);
  const std::vector<int64_t> kept = keptIndices(c.v.shape, c.reduce);
  std::vector<double> want(static_cast<size_t>(c.g.size()), 0), size(want.size(), 0);
  for (size_t i = 0; i < x.size(); ++i) {
    want[static_cast<size_t>(kept[i])] += x[i];
    size[static_cast<size_t>(kept[i])] += std::abs(x[i]);
  }
  for (const bool mean : {false, true}) {
    const Tensor y = onEveryPool(c.g.shape, c.v.dtype, "sum " + c.name,
                                 [&](const Tensor& out, cpu::Pool& pool) { cpu::reduce({c.v, out, c.reduce, mean}, pool); });
    const double divisor = mean ? static_cast<double>(c.v.size()) / static_cast<double>(c.g.size()) : 1;
    double worst = 0;
    for (size_t k = 0; k < want.size(); ++k) {
      const double allowed = ulp(want[k] / divisor, c.v.dtype) + 1e-14 * size[k];
      worst = worse(worst, std::abs(floats(y)[k] - want[k] / divisor) / allowed);
      if (want.size() > 300 && k > 300) break;
    }
    check(worst <= 1, std::string(mean ? "mean " : "sum ") + c.name);
  }
}

void checkCase(const Case& c) {
  const Reference reference(c);
  checkForward(c, reference);
  checkBackward(c, reference);
  checkReduce(c);
}

void checkScales(Random& random) {
  std::vector<Case> cases;
  core::ScaleOp op;
  for (const Shape& shape : {Shape{64, 32, 3}, Shape{7}, Shape{300, 200}, Shape{5, 4, 3}, Shape{200000, 2}}) {
    for (const uint32_t reduce : {6u, 1u, 0u, 7u}) {
      if (reduce >> shape.rank()) continue;
      cases.push_back(randomCase(random, shape, reduce, DType::kFloat32, DType::kFloat32));
    }
  }
  std::vector<std::vector<uint32_t>> before;
  for (cpu::Pool* pool : pools()) {
    op.segments.clear();
    for (const Case& c : cases) op.segments.push_back({c.v, c.g, empty(c.g.shape, DType::kFloat32), c.reduce, std::nullopt});
    cpu::scale(op, *pool);
    for (size_t i = 0; i < cases.size(); ++i) {
      if (before.size() <= i) before.push_back(bits(op.segments[i].scale));
      check(before[i] == bits(op.segments[i].scale), "scale " + cases[i].name + ": other bits");
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const Reference reference(cases[i]);
    const std::vector<float> got = floats(op.segments[i].scale), g = floats(cases[i].g);
    double worst = 0;
    for (size_t k = 0; k < g.size(); ++k) worst = std::max(worst, ulpsApart(got[k], g[k] / reference.n[k]));
    check(worst <= 2, "scale " + cases[i].name + " is " + std::to_string(worst) + " ulp off");
  }
}

}  // namespace

void testWeightNorm() {
  Random random(7);
  const DType dtypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  for (int round = 0; round < 150; ++round) {
    const Shape shape = randomShape(random, round < 130 ? 3000 : 200000);
    const uint32_t reduce = static_cast<uint32_t>(between(random, 0, (1 << shape.rank()) - 1));
    const DType dtype = dtypes[round % 3];
    checkCase(randomCase(random, shape, reduce, dtype, round % 2 ? dtype : DType::kFloat32));
  }
  // Every path: long rows and columns with partial sums, slices, folded and interior blocks, narrow columns.
  const std::pair<Shape, uint32_t> paths[] = {{{3, 200001}, 2},      {{400003}, 1},      {{300000}, 0},      {{2000, 130}, 1},
                                              {{3000, 3}, 1},        {{200000, 2}, 1},   {{70, 60, 9}, 5},   {{3, 100, 1000}, 2},
                                              {{2, 300, 900}, 2},    {{512, 3, 7}, 2},   {{90, 40, 70}, 5},  {{5, 6, 7, 8, 9}, 21},
                                              {{5, 6, 7, 8, 9}, 10}, {{2, 2, 50000}, 2}, {{2, 2, 50000}, 5}, {{40, 60, 200}, 5}};
  for (const auto& [shape, reduce] : paths) {
    checkCase(randomCase(random, shape, reduce, dtypes[between(random, 0, 2)], DType::kFloat32));
    checkCase(randomCase(random, shape, reduce, DType::kFloat32, DType::kFloat32));
  }
  // Row by row where many threads share it, by pieces where few do.
  checkCase(randomCase(random, {1100, 2000}, 2, DType::kFloat32, DType::kFloat32));
  checkScales(random);
}

}  // namespace testing
