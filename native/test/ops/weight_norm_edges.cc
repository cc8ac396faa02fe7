#include <limits>

#include "check.h"
#include "cpu/norm.h"
#include "cpu/weight_norm.h"
#include "cpu/weight_norm_backward.h"

// Extreme magnitudes, eps, zero rows, cancelling gradients, constant rows, non-finite values.
namespace testing {

namespace {

cpu::Pool& pool() {
  return *pools()[1];
}

std::vector<float> forward(const Tensor& v, const Tensor& g, uint32_t reduce, std::optional<double> eps = std::nullopt) {
  const Tensor w = empty(v.shape, v.dtype);
  cpu::weightNorm({v, g, w, reduce, eps}, pool());
  return floats(w);
}

struct Gradients {
  std::vector<float> v, g;
};
Gradients backward(const Tensor& gradW, const Tensor& v, const Tensor& g, uint32_t reduce, std::optional<double> eps = {}) {
  const Tensor gradV = empty(v.shape, v.dtype), gradG = empty(g.shape, g.dtype);
  cpu::weightNormBackward({gradW, v, g, gradV, gradG, reduce, eps}, pool());
  return {floats(gradV), floats(gradG)};
}

// Rows whose squares overflow or underflow float32, and scales that do; one extreme index must not move the others.
void extremes(Random& random, uint32_t reduce) {
  const Shape shape{24, 40};
  const Shape keptShape = shape.reduced(reduce);
  const std::vector<int64_t> kept = keptIndices(shape, reduce);
  std::vector<float> v = normals(random, shape.size()), g = normals(random, keptShape.size());
  const Tensor plain = make(shape, DType::kFloat32, v), plainGain = make(keptShape, DType::kFloat32, g);
  const std::vector<float> before = forward(plain, plainGain, reduce);
  const float sizes[] = {1e-44f, 1e-40f, 1e-30f, 1e-22f, 1e19f, 1e30f, 5e37f};
  const float gains[] = {1e-42f, 1e-38f, 1e-20f, 1e20f, 3e38f, 0.0f, 1.0f};
  for (size_t i = 0; i < v.size(); ++i) {
    if (kept[i] % 3 != 1) v[i] *= sizes[kept[i] / 3 % 7];
  }
  for (size_t k = 0; k < g.size(); ++k) {
    if (k % 3 != 1) g[k] = k % 3 == 0 ? g[k] : std::copysign(gains[k / 3 % 7], g[k]);
  }
  const std::vector<float> w = forward(make(shape, DType::kFloat32, v), make(keptShape, DType::kFloat32, g), reduce);
  std::vector<double> squares(g.size(), 0);
  for (size_t i = 0; i < v.size(); ++i) squares[static_cast<size_t>(kept[i])] += static_cast<double>(v[i]) * v[i];
  double worst = 0;
  bool same = true;
  for (size_t i = 0; i < v.size(); ++i) {
    const size_t k = static_cast<size_t>(kept[i]);
    worst = std::max(worst, ulpsApart(w[i], v[i] * (g[k] / std::sqrt(squares[k]))));
    same = same && (k % 3 != 1 || w[i] == before[i]);
  }
  check(worst <= 4, "extreme magnitudes, reduce " + std::to_string(reduce) + ": " + std::to_string(worst) + " ulp off");
  check(same, "an extreme index changed the bits of others, reduce " + std::to_string(reduce));
}

void zeroRows() {
  const Shape shape{3, 20};
  std::vector<float> v(60, 0.5f);
  for (size_t i = 20; i < 40; ++i) v[i] = 0;
  const Tensor tv = make(shape, DType::kFloat32, v), g = make({3, 1}, DType::kFloat32, {2, 3, 4});
  const Tensor gradW = make(shape, DType::kFloat32, std::vector<float>(60, 0.25f));
  const auto rowIs = [](const std::vector<float>& x, size_t row, float value) {
    for (size_t i = 20 * row; i < 20 * row + 20; ++i) {
      if (std::isnan(value) ? !std::isnan(x[i]) : x[i] != value) return false;
    }
    return true;
  };
  check(rowIs(forward(tv, g, 2), 1, 0), "eps unset: a zero row gives 0");
  check(rowIs(forward(tv, g, 2, 0.0), 1, NAN), "eps 0: a zero row gives NaN");
  check(rowIs(forward(tv, g, 2, 1e-5), 1, 0), "eps > 0: a zero row gives 0");
  check(forward(tv, g, 2) == forward(tv, g, 2, 1e-5), "eps moves no other row");
  check(forward(make(shape, DType::kFloat32, v), make({3, 1}, DType::kFloat32, {2, INFINITY, 4}), 2)[25] == 0,
        "eps unset: a zero row gives 0 for an infinite g");

  const Gradients unset = backward(gradW, tv, g, 2);
  check(rowIs(unset.v, 1, 0) && unset.g[1] == 0, "eps unset: a zero row has zero gradients");
  const Gradients clamped = backward(gradW, tv, g, 2, 1e-5);
  check(rowIs(clamped.v, 1, static_cast<float>(3 / 1e-5 * 0.25)) && clamped.g[1] == 0, "eps > 0: the clamped gradients");
  const Gradients nan = backward(gradW, tv, g, 2, 0.0);
  check(rowIs(nan.v, 1, NAN) && std::isnan(nan.g[1]), "eps 0: NaN gradients");
  check(rowIs(nan.v, 0, unset.v[0]) && nan.g[0] == unset.g[0], "eps 0 moves no other row");

  // A clamp above the norm of a row that is not zero.
  const double eps = 10;
  const std::vector<float> w = forward(tv, g, 2, eps);
  check(ulpsApart(w[0], 0.5 * 2 / eps) <= 4, "eps above the norm replaces it");
  const Gradients wide = backward(gradW, tv, g, 2, eps);
  check(ulpsApart(wide.v[0], 2 / eps * 0.25) <= 1 && ulpsApart(wide.g[0], 20 * 0.5 * 0.25 / eps) <= 1,
        "eps above the norm: the gradients of a constant n");
}

void cancelling(Random& random) {
  // Rows of length 1: gradV is 0 but for rounding.
  const Shape column{300, 1};
  const Tensor v = make(column, DType::kFloat32, normals(random, 300)), g = make(column, DType::kFloat32, normals(random, 300));
  const Tensor gradW = make(column, DType::kFloat32, normals(random, 300));
  const Gradients lone = backward(gradW, v, g, 2);
  double worst = 0;
  for (size_t i = 0; i < 300; ++i) {
    const double unit = ulp(floats(g)[i] / std::abs(floats(v)[i]) * floats(gradW)[i]);
    worst = worse(worst, std::abs(lone.v[i]) / unit);
    worst = std::max(worst, ulpsApart(lone.g[i], std::copysign(floats(gradW)[i], floats(gradW)[i] * floats(v)[i])));
  }
  check(worst <= 1, "rows of length 1: " + std::to_string(worst) + " ulp off");

  // gradW parallel to v.
  const Shape shape{4, 5000};
  std::vector<float> values4 = normals(random, shape.size()), parallel = values4;
  for (float& x : parallel) x *= 4;
  const Tensor pv = make(shape, DType::kFloat32, values4), pg = make({4, 1}, DType::kFloat32, {1, 2, 3, 4});
  const Gradients none = backward(make(shape, DType::kFloat32, parallel), pv, pg, 2);
  worst = 0;
  for (size_t row = 0; row < 4; ++row) {
    double square = 0, largest = 0;
    for (size_t i = row * 5000; i < row * 5000 + 5000; ++i) {
      square += static_cast<double>(values4[i]) * values4[i];
      largest = std::max(largest, std::abs(static_cast<double>(parallel[i])));
    }
    const double unit = ulp(floats(pg)[row] / std::sqrt(square) * largest);
    for (size_t i = row * 5000; i < row * 5000 + 5000; ++i) worst = worse(worst, std::abs(none.v[i]) / unit);
    check(ulpsApart(none.g[row], 4 * std::sqrt(square)) <= 1, "gradW parallel to v: gradG");
  }
  check(worst <= 1, "gradW parallel to v: " + std::to_string(worst) + " ulp off");
}

void constantRows() {
  for (const int64_t length : {int64_t{1} << 12, (int64_t{1} << 20) + 3, int64_t{1} << 24}) {
    const Shape shape{1, length};
    const Tensor v = make(shape, DType::kFloat32, std::vector<float>(static_cast<size_t>(length), 1));
    const Tensor n = empty({1, 1}, DType::kFloat32);
    cpu::norm({v, n, 2}, pool());
    check(ulpsApart(floats(n)[0], std::sqrt(static_cast<double>(length))) <= 1, "the norm of ones, " + shape.str());
    if (length > 1 << 21) continue;
    const std::vector<float> w = forward(v, make({1, 1}, DType::kFloat32, {3}), 2);
    check(ulpsApart(w[static_cast<size_t>(length) - 1], 3 / std::sqrt(static_cast<double>(length))) <= 4, "a row of ones, " + shape.str());
  }
}

void nonFinite(Random& random) {
  const Shape shape{4, 50};
  std::vector<float> v = normals(random, shape.size());
  const Tensor g = make({4, 1}, DType::kFloat32, {1, 1, 1, 1});
  const std::vector<float> before = forward(make(shape, DType::kFloat32, v), g, 2);
  v[60] = NAN;
  v[110] = INFINITY;
  const std::vector<float> after = forward(make(shape, DType::kFloat32, v), g, 2);
  bool rowIsNan = true, othersStay = true;
  for (size_t i = 50; i < 100; ++i) rowIsNan = rowIsNan && std::isnan(after[i]);
  for (size_t i = 0; i < 50; ++i) othersStay = othersStay && after[i] == before[i] && after[i + 150] == before[i + 150];
  check(rowIsNan, "a NaN makes its row NaN");
  check(std::isnan(after[110]), "an infinite element gives NaN");
  check(othersStay, "other rows are untouched by NaN and infinity");
  const Tensor bad = make({4, 1}, DType::kFloat32, {NAN, INFINITY, 1, 1});
  const std::vector<float> gained = forward(make(shape, DType::kFloat32, std::vector<float>(200, 1)), bad, 2);
  check(std::isnan(gained[0]) && std::isinf(gained[50]) && std::isfinite(gained[100]), "a NaN or infinite g");
}

}  // namespace

void testWeightNormEdges() {
  Random random(11);
  extremes(random, 2);
  extremes(random, 1);
  zeroRows();
  cancelling(random);
  constantRows();
  nonFinite(random);
}

}  // namespace testing
