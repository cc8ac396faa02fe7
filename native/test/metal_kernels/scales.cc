#include <cmath>

#include "harness.h"

// Scales of many weights in one operation: every tile form, mixed dtypes, masks and eps.
namespace testing {

namespace {

struct Part {
  Shape shape;
  uint32_t reduce;
  DType dtype, gType;
  std::optional<double> eps;
};

void scales(const std::vector<Part>& parts, const std::string& name) {
  Random random(21);
  core::ScaleOp op;
  for (const Part& part : parts) {
    core::ScaleOp::Segment segment;
    segment.v = make(part.shape, part.dtype, normal(random, 0.1));
    segment.g = make(part.shape.reduced(part.reduce), part.gType, normal(random, 0.4, 1));
    segment.reduce = part.reduce;
    segment.eps = part.eps;
    op.segments.push_back(segment);
  }
  core::prepare(op);
  backend().run(op);
  for (size_t s = 0; s < parts.size(); ++s) {
    const auto& segment = op.segments[s];
    const auto v = read(segment.v), g = read(segment.g), got = read(segment.scale);
    const auto kept = keptIndices(parts[s].shape, parts[s].reduce);
    std::vector<double> sums(g.size());
    for (size_t i = 0; i < v.size(); ++i) sums[static_cast<size_t>(kept[i])] += v[i] * v[i];
    double worst = 0;
    for (size_t k = 0; k < g.size(); ++k) {
      double n = std::sqrt(sums[k]);
      if (parts[s].eps) n = std::max(n, *parts[s].eps);
      worst = std::max(worst, ulpsApart(got[k], g[k] / n, DType::kFloat32));
    }
    check(worst <= 4,
          "scale " + name + " " + parts[s].shape.str() + " " + core::name(parts[s].dtype) + ": " + std::to_string(worst) + " ulp");
  }
}

}  // namespace

void testScales() {
  const DType f = DType::kFloat32, h = DType::kFloat16, b = DType::kBFloat16;
  std::vector<Part> all;
  for (const DType dtype : kDTypes) {
    for (const Shape& shape : {Shape{10, 16}, Shape{33, 8, 3}, Shape{5, 56}, Shape{3, 120}, Shape{9, 63, 8}, Shape{2, 40, 64},
                               Shape{2, 33000}, Shape{7, 5}, Shape{3, 700}, Shape{1, 32, 7}, Shape{3, 513}, Shape{2, 2052}}) {
      all.push_back({shape, shape.rank() == 2 ? 2u : 6u, dtype, dtype, std::nullopt});
    }
  }
  scales(all, "mixed");
  scales({{{64, 8, 3}, 6, f, f, std::nullopt}}, "one");
  scales(std::vector<Part>(100, {{3, 8}, 2, f, f, std::nullopt}), "more than one launch holds");
  scales({{{6, 40}, 2, h, f, 1e-3}, {{6, 40}, 2, b, f, 100.0}, {{6, 40}, 2, f, f, 100.0}}, "eps and float32 g");
  scales({{{6, 40, 3}, 7, f, f, std::nullopt},
          {{3, 70000}, 2, f, f, std::nullopt},
          {{6, 40, 3}, 5, h, h, std::nullopt},
          {{6, 40}, 1, b, b, std::nullopt}},
         "whole tensor, long rows, other axes");
}

}  // namespace testing
