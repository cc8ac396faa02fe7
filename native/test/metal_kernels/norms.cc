#include <cmath>

#include "harness.h"

// Weight norm forward and norms over every kernel variant, against float64.
namespace testing {

namespace {

struct Case {
  Shape shape;
  uint32_t reduce;
  const char* reaches;
};

const Case kCases[] = {
    {{5, 3}, 2, "rows of one element a chunk"},
    {{1}, 0, "nothing reduced"},
    {{37}, 0, "nothing reduced"},
    {{37, 16}, 2, "4 lanes a row, several rows a simdgroup, a remainder of rows"},
    {{9, 32}, 2, "8 lanes"},
    {{70, 56}, 2, "8 lanes, 2 chunks"},
    {{7, 14, 8}, 6, "16 lanes"},
    {{6, 250}, 2, "scalar rows, a threadgroup a row"},
    {{6, 248}, 2, "a simdgroup a row, 2 chunks"},
    {{5, 63, 8}, 6, "a simdgroup a row, 4 chunks"},
    {{3, 520}, 2, "a threadgroup a row"},
    {{3, 1000}, 2, "a threadgroup a row"},
    {{2, 4096}, 2, "a threadgroup a row, registers"},
    {{2, 3001}, 2, "a threadgroup a row, 4 scalars a thread"},
    {{2, 11000}, 2, "a threadgroup a row, 4 chunks a thread; looped where threadgroups are small"},
    {{3, 40000}, 2, "rows cut into parts"},
    {{1, 4099}, 2, "scalar rows cut into parts"},
    {{300, 211}, 3, "whole tensor, cut into parts"},
    {{40, 64}, 1, "columns in registers"},
    {{3000, 32}, 1, "columns cut into parts"},
    {{33, 7}, 1, "scalar columns"},
    {{2000, 5}, 1, "scalar columns cut into parts"},
    {{3, 20, 24}, 2, "batches of columns"},
    {{17, 12, 3}, 5, "outer and inner axes, runs of 3"},
    {{17, 5, 7}, 5, "runs of 7, scalar"},
    {{128, 6, 40, 7}, 10, "runs of 7 in strips of whole sectors"},
    {{9, 8, 16}, 5, "runs of 16"},
    {{4, 3, 600}, 5, "runs too long for a strip"},
    {{2, 3, 4, 5, 2}, 21, "five axes"},
    {{3, 2, 4, 2, 3, 2}, 42, "six axes"},
    {{2, 1, 6, 1, 10}, 4, "axes of size 1"},
};

std::vector<double> normsOf(const std::vector<double>& v, const std::vector<int64_t>& kept, int64_t count) {
  std::vector<double> sums(static_cast<size_t>(count));
  for (size_t i = 0; i < v.size(); ++i) sums[static_cast<size_t>(kept[i])] += v[i] * v[i];
  for (double& x : sums) x = std::sqrt(x);
  return sums;
}

void forward(const Case& test, DType dtype, DType gType, const std::function<float()>& value, const std::string& values) {
  const std::string name =
      test.shape.str() + " mask " + std::to_string(test.reduce) + " " + core::name(dtype) + " " + values + " (" + test.reaches + ")";
  Random random(3);
  const Tensor v = make(test.shape, dtype, value);
  const Tensor g = make(test.shape.reduced(test.reduce), gType, normal(random, 0.5, 1.5));
  core::WeightNormOp op{v, g, {}, test.reduce, std::nullopt};
  core::prepare(op);
  backend().run(op);
  core::NormOp norm{v, {}, test.reduce};
  core::prepare(norm);
  backend().run(norm);

  const std::vector<double> vs = read(v), gs = read(g), ws = read(op.w), ns = read(norm.n);
  const auto kept = keptIndices(test.shape, test.reduce);
  const auto want = normsOf(vs, kept, g.size());
  double worstN = 0, worstW = 0;
  for (size_t i = 0; i < ns.size(); ++i) worstN = std::max(worstN, ulpsApart(ns[i], want[i], DType::kFloat32));
  for (size_t i = 0; i < ws.size(); ++i) {
    const auto k = static_cast<size_t>(kept[i]);
    worstW = std::max(worstW, ulpsApart(ws[i], vs[i] * gs[k] / want[k], dtype));
  }
  // Fast math may drop the compensation of sums, which only rows this long of equal values miss.
  const double mostN = fastMath() && values == "constant" && v.size() / g.size() > 1 << 16 ? 16 : 4;
  check(worstN <= mostN, "norm " + name + ": " + std::to_string(worstN) + " ulp");
  check(worstW <= (dtype == DType::kFloat32 ? 4 : 1), "weightNorm " + name + ": " + std::to_string(worstW) + " ulp");
}

}  // namespace

void testNorms() {
  Random random(1);
  for (const DType dtype : kDTypes) {
    for (const Case& test : kCases) {
      forward(test, dtype, dtype, normal(random), "random");
      if (dtype != DType::kFloat32) forward(test, dtype, DType::kFloat32, normal(random, 0.03), "float32 g");
    }
    // Constant rows: every rounding of a plain sum goes the same way.
    for (const float constant : {1.0f, 0.1f, 0.7f}) {
      forward({{1, 1 << 19}, 2, "one long row"}, dtype, dtype, [=] { return constant; }, "constant");
      forward({{4, 3840}, 2, "registers"}, dtype, dtype, [=] { return constant; }, "constant");
      forward({{2500, 40}, 1, "columns"}, dtype, dtype, [=] { return constant; }, "constant");
    }
  }
}

}  // namespace testing
