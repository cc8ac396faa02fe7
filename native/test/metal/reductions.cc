#include <cmath>

#include "harness.h"

namespace metaltest {

namespace {

struct Case {
  Shape shape;
  uint32_t reduce;
};

void reduce(Session& session, const Case& c, DType dtype, bool mean, const std::vector<float>& x, double ulps, const std::string& path) {
  core::ReduceOp op;
  op.x = session.upload(x, c.shape, dtype);
  op.reduce = c.reduce;
  op.mean = mean;
  core::prepare(op, true);
  session.queue().submit(op);
  std::vector<double> want(static_cast<size_t>(op.y.size()));
  const auto strides = c.shape.strides(), kept = op.y.shape.strides();
  for (int64_t i = 0; i < c.shape.size(); ++i) {
    int64_t at = 0;
    for (int axis = 0; axis < c.shape.rank(); ++axis) {
      const auto a = static_cast<size_t>(axis);
      if (!(c.reduce >> axis & 1)) at += i / strides[a] % c.shape[axis] * kept[a];
    }
    want[static_cast<size_t>(at)] += x[static_cast<size_t>(i)];
  }
  const double terms = static_cast<double>(c.shape.size()) / static_cast<double>(op.y.size());
  for (double& value : want) value /= mean ? terms : 1;
  compare(std::string(mean ? "mean " : "sum ") + c.shape.str() + " over " + std::to_string(c.reduce) + " " + core::name(dtype) + path,
          session.read(op.y), want, dtype, ulps);
}

}  // namespace

void reductions() {
  Session session;
  const Case cases[] = {{{1}, 1},
                        {{7}, 1},
                        {{40000}, 1},
                        {{3, 100}, 2},
                        {{2, 1500}, 2},
                        {{3, 5}, 0},
                        {{40, 50}, 1},
                        {{2000, 3}, 1},
                        {{3, 40, 35}, 2},
                        {{2, 3, 40}, 5},
                        {{2, 3, 2, 5}, 10},
                        {{2, 3, 2, 5}, 5},
                        {{2, 3, 4, 2, 3}, 21},
                        {{1, 4, 1, 4}, 15},
                        {{2, 2, 2, 2, 2, 2, 2, 2}, 0xaa},
                        {{3, 1, 20000}, 5},
                        // last chunks that are shorter; more results than a small grid has threadgroups
                        {{1025, 3}, 1},
                        {{129, 2, 129}, 5},
                        {{45, 1100}, 2},
                        {{45, 40, 3}, 2},
                        {{2, 45, 3, 2}, 5}};
  for (const Case& c : cases) {
    for (const DType dtype : kDTypes) {
      for (const bool mean : {false, true})
        reduce(session, c, dtype, mean, rounded(noise(c.shape.size(), 30), dtype), dtype == DType::kFloat32 ? 1.5 : 0.502, "");
    }
    everyPath([&](const std::string& path) { reduce(session, c, DType::kFloat32, false, noise(c.shape.size(), 31), 1, path); });
  }
  // Where plain float32 sums go wrong: many equal terms, and terms that cancel.
  reduce(session, {{200000}, 1}, DType::kFloat32, false, std::vector<float>(200000, 0.1f), 0.5, " of 0.1");
  std::vector<float> cancelling;
  for (int i = 0; i < 3000; ++i) cancelling.insert(cancelling.end(), {1e7f + static_cast<float>(i), 0.25f, -1e7f - static_cast<float>(i)});
  reduce(session, {{9000}, 1}, DType::kFloat32, false, cancelling, 0.5, " cancelling");
}

}  // namespace metaltest
