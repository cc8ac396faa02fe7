#include <cmath>

#include "harness.h"

// Weight norm backward over every kernel variant, with gradients that cancel and ranges that overflow.
namespace testing {

namespace {

struct Case {
  Shape shape;
  uint32_t reduce;
};
const Case kCases[] = {
    {{37}, 0},       {{37, 16}, 2},   {{9, 32}, 2},     {{6, 250}, 2},         {{70, 56}, 2},
    {{7, 14, 8}, 6}, {{6, 248}, 2},   {{5, 63, 8}, 6},  {{3, 520}, 2},         {{2, 3001}, 2},
    {{2, 11000}, 2}, {{2, 14000}, 2}, {{3, 40000}, 2},  {{1, 4099}, 2},        {{300, 211}, 3},
    {{40, 64}, 1},   {{3000, 32}, 1}, {{33, 7}, 1},     {{3, 20, 24}, 2},      {{17, 12, 3}, 5},
    {{17, 5, 7}, 5}, {{9, 8, 16}, 5}, {{4, 3, 600}, 5}, {{2, 3, 4, 5, 2}, 21}, {{3, 2, 4, 2, 3, 2}, 42},
};

// kLeast: results around the smallest normal number. kMixed: neighbouring norms far apart. kPeakFirst, kPeakLast: one element of a norm
// outweighs all others.
enum class Kind { kRandom, kParallel, kHuge, kTiny, kLeast, kZeroGradient, kZeroRows, kMixed, kPeakFirst, kPeakLast };
const char* const kKindNames[] = {"random",        "along v",   "huge",  "tiny",       "least",
                                  "zero gradient", "zero rows", "mixed", "peak first", "peak last"};

void backward(const Case& test, DType dtype, Kind kind, std::optional<double> eps) {
  const std::string name = std::string(kKindNames[static_cast<int>(kind)]) + " " + test.shape.str() + " mask " +
                           std::to_string(test.reduce) + " " + core::name(dtype) + (eps ? " eps " + std::to_string(*eps) : "");
  Random random(11);
  auto one = normal(random);
  const auto kept = keptIndices(test.shape, test.reduce);
  std::vector<float> vs(kept.size()), ds(kept.size());
  for (size_t i = 0; i < vs.size(); ++i) {
    vs[i] = roundTo(one(), dtype);
    ds[i] = kind == Kind::kParallel ? roundTo(3 * vs[i], dtype) : one();
    if (kind == Kind::kHuge) vs[i] *= 1e22f, ds[i] *= 1e15f;
    if (kind == Kind::kTiny) vs[i] *= 1e-24f, ds[i] *= 1e-20f;
    if (kind == Kind::kLeast) ds[i] = (ds[i] < 0 ? -2e-37f : 2e-37f) * (1 + 0.3f * std::min(1.0f, std::fabs(ds[i])));
    if (kind == Kind::kZeroGradient) ds[i] = 0;
    if (kind == Kind::kZeroRows && kept[i] % 2 == 0) vs[i] = 0;
    if (kind == Kind::kMixed) {
      const float factors[] = {1e-24f, 1, 1e22f};
      vs[i] *= factors[kept[i] % 3];
      ds[i] *= factors[(kept[i] + 1) % 3] * 1e3f;
    }
  }
  if (kind == Kind::kPeakFirst || kind == Kind::kPeakLast) {
    std::vector<bool> seen(kept.size());
    for (size_t n = 0; n < kept.size(); ++n) {
      const size_t i = kind == Kind::kPeakFirst ? n : kept.size() - 1 - n;
      if (!seen[static_cast<size_t>(kept[i])]) vs[i] = 1e25f, ds[i] = 1e24f;
      seen[static_cast<size_t>(kept[i])] = true;
    }
  }
  core::WeightNormBackwardOp op;
  op.gradW = make(test.shape, dtype, ds);
  op.v = make(test.shape, dtype, vs);
  op.g = make(test.shape.reduced(test.reduce), dtype, normal(random, 0.3, 1.5));
  op.reduce = test.reduce;
  op.eps = eps;
  core::prepare(op);
  backend().run(op);

  const auto v = read(op.v), d = read(op.gradW), g = read(op.g), gradV = read(op.gradV), gradG = read(op.gradG);
  const size_t count = g.size();
  std::vector<long double> vv(count), vd(count), dd(count);
  std::vector<double> most(count), worst(count);
  for (size_t i = 0; i < v.size(); ++i) {
    const auto k = static_cast<size_t>(kept[i]);
    vv[k] += static_cast<long double>(v[i]) * v[i];
    vd[k] += static_cast<long double>(v[i]) * d[i];
    dd[k] += static_cast<long double>(d[i]) * d[i];
    most[k] = std::max(most[k], std::fabs(d[i]));
  }
  double worstG = 0, worstV = 0;
  std::vector<bool> zero(count), clamped(count);
  for (size_t k = 0; k < count; ++k) {
    const long double n = sqrtl(vv[k]);
    clamped[k] = eps && n < *eps;
    zero[k] = n == 0 && !eps;
    const double want = static_cast<double>(zero[k] ? 0 : clamped[k] ? vd[k] / *eps : vd[k] / n);
    const double unit = ulp(static_cast<double>(sqrtl(dd[k])), dtype);
    if (flushesSubnormals() && gradG[k] == 0 && std::fabs(want) < 0x1p-126) continue;
    worstG = std::max(worstG, std::isnan(want) ? ulpsApart(gradG[k], want, dtype) : std::fabs(gradG[k] - want) / unit);
    if (!(std::fabs(gradG[k] - want) >= 0) && !std::isnan(want)) worstG = INFINITY;
  }
  for (size_t i = 0; i < v.size(); ++i) {
    const auto k = static_cast<size_t>(kept[i]);
    const long double n = clamped[k] ? *eps : sqrtl(vv[k]);
    long double want = g[k] / n * (d[i] - (clamped[k] ? 0 : v[i] / n * (vd[k] / n)));
    if (zero[k]) want = 0;
    const double scale = static_cast<double>(zero[k] ? 0 : g[k] / n * most[k]);
    // Rounding the result itself may cost more than the largest term where v outweighs gradW.
    const double unit = ulp(std::max(std::fabs(static_cast<double>(want)), std::fabs(scale)), dtype);
    double apart = std::fabs(gradV[i] - static_cast<double>(want)) / unit;
    if (std::isnan(static_cast<double>(want))) apart = std::isnan(gradV[i]) ? 0 : INFINITY;
    if (!(apart >= 0)) apart = INFINITY;
    worstV = std::max(worstV, apart);
  }
  check(worstV <= 16, "gradV " + name + ": " + std::to_string(worstV) + " ulp");
  check(worstG <= 16, "gradG " + name + ": " + std::to_string(worstG) + " ulp");
}

}  // namespace

void testGradients() {
  for (const DType dtype : kDTypes) {
    for (const Case& test : kCases) backward(test, dtype, Kind::kRandom, std::nullopt);
  }
  const Case few[] = {{{37, 16}, 2},    {{7, 2048}, 2},        {{3, 40000}, 2}, {{700, 32}, 1},
                      {{17, 12, 3}, 5}, {{2, 3, 4, 5, 2}, 21}, {{6, 248}, 2},   {{4, 3, 600}, 5}};
  for (const Case& test : few) {
    for (const Kind kind : {Kind::kParallel, Kind::kHuge, Kind::kTiny, Kind::kLeast, Kind::kZeroGradient, Kind::kZeroRows, Kind::kMixed,
                            Kind::kPeakFirst, Kind::kPeakLast}) {
      backward(test, DType::kFloat32, kind, std::nullopt);
    }
    backward(test, DType::kFloat32, Kind::kZeroRows, 0.0);
    backward(test, DType::kFloat32, Kind::kZeroRows, 1e-3);
    backward(test, DType::kFloat32, Kind::kRandom, 1e3);
    backward(test, DType::kFloat16, Kind::kParallel, std::nullopt);
    for (const Kind kind : {Kind::kParallel, Kind::kHuge, Kind::kTiny, Kind::kMixed, Kind::kPeakLast}) {
      backward(test, DType::kBFloat16, kind, std::nullopt);
    }
  }
}

}  // namespace testing
