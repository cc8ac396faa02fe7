#include <limits>

#include "check.h"
#include "cpu/norm.h"
#include "cpu/weight_norm.h"
#include "cpu/weight_norm_backward.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// What float32 would lose in the sums of rows long enough for its chains: equal values, magnitudes whose squares overflow or
// underflow, subnormals flushed to zero, gradients that cancel.
namespace testing {

namespace {

cpu::Pool& pool() {
  return *pools()[0];
}

// Subnormal results become 0 on this thread, as audio hosts have it.
class FlushToZero {
 public:
#if defined(__x86_64__)
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8000); }
  ~FlushToZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#else
  FlushToZero() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" ::"r"(before_ | 1u << 24));
  }
  ~FlushToZero() { __asm__ volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  uint64_t before_;
#endif
};

struct Row {
  float n;
  std::vector<float> w;
};
Row forward(const std::vector<float>& v, float g) {
  const int64_t length = static_cast<int64_t>(v.size());
  const Tensor tv = make({1, length}, DType::kFloat32, v), n = empty({1, 1}, DType::kFloat32), w = empty(tv.shape, DType::kFloat32);
  cpu::norm({tv, n, 2}, pool());
  cpu::weightNorm({tv, make({1, 1}, DType::kFloat32, {g}), w, 2, std::nullopt}, pool());
  return {floats(n)[0], floats(w)};
}

double squaresOf(const std::vector<float>& v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  return sum;
}

// n within 2.5 ulp, what the sums promise, and w within 4.
void checkRow(const std::vector<float>& v, const std::string& what) {
  const double n = std::sqrt(squaresOf(v));
  const Row row = forward(v, static_cast<float>(1.7 * n));
  const double off = ulpsApart(row.n, n);
  check(off <= 2.5, "n of " + what + " is " + std::to_string(off) + " ulp off");
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double want = v[i] * (static_cast<float>(1.7 * n) / n);
    // A subnormal may be flushed.
    if (std::abs(want) >= std::numeric_limits<float>::min()) worst = worse(worst, ulpsApart(row.w[i], want));
  }
  check(worst <= 4, "w of " + what + " is " + std::to_string(worst) + " ulp off");
}

void equalValues() {
  // The last two: squares that lose most when rounded.
  const float constants[] = {0.1f, 1 / 3.0f, 0.7f, 123.457f, 1e-12f, 1e15f, 0x1.000ffep0f, 0x1.6a0a02p0f};
  for (const float x : constants) {
    for (const int64_t length : {15, 16, 31, 64, 127, 128, 200, 4096, 65537, (1 << 20) + 3}) {
      checkRow(std::vector<float>(static_cast<size_t>(length), x), std::to_string(length) + " times " + std::to_string(x));
    }
  }
  checkRow(std::vector<float>(size_t{1} << 24, 0.1f), "2^24 times 0.1");
}

// One large value in front of each chain: every rounding is of the whole sum.
void unequalValues(Random& random) {
  for (const int64_t length : {256, 1152, 4100}) {
    std::vector<float> v = normals(random, length, 1e-3f);
    for (size_t i = 0; i < v.size(); ++i) {
      if (i % 64 < 16) v[i] = 1 + std::abs(v[i]);
    }
    checkRow(v, std::to_string(length) + " values, a quarter of them large");
  }
}

void magnitudes(Random& random) {
  for (const int64_t length : {16, 64, 100, 300, 1152}) {
    const std::vector<float> plain = normals(random, length);
    for (int exponent = -120; exponent <= 120; exponent += 3) {
      std::vector<float> v = plain;
      for (float& x : v) x = std::ldexp(x, exponent);
      checkRow(v, std::to_string(length) + " values of 2^" + std::to_string(exponent));
    }
    // Squares that overflow and vanish float32 side by side, the large ones alone in a row of small ones, and none large.
    const std::pair<float, float> mixed[] = {{1e30f, 1e-30f}, {1e-30f, 1e30f}, {1, 1e-30f}, {1e-15f, 1e-23f}, {3e-22f, 1e-23f}, {1e19f, 1}};
    for (const auto& [often, seldom] : mixed) {
      std::vector<float> v = plain;
      for (size_t i = 0; i < v.size(); ++i) v[i] *= i % 37 == 5 ? seldom : often;
      checkRow(v, std::to_string(length) + " values of " + std::to_string(often) + " and " + std::to_string(seldom));
    }
  }
}

void zerosAndNonFinite(Random& random) {
  const Shape shape{3, 333};
  const std::vector<float> plain = normals(random, shape.size());
  const Tensor g = make({3, 1}, DType::kFloat32, {1, 2, 3}), gradW = make(shape, DType::kFloat32, normals(random, shape.size()));
  const auto run = [&](float middle, std::vector<uint32_t>& outer) {
    std::vector<float> v = plain;
    for (size_t i = 333; i < 666; ++i) v[i] = i == 400 || middle == 0 ? middle : v[i];
    const Tensor tv = make(shape, DType::kFloat32, v), w = empty(shape, DType::kFloat32), gradV = empty(shape, DType::kFloat32);
    const Tensor gradG = empty(g.shape, DType::kFloat32);
    cpu::weightNorm({tv, g, w, 2, std::nullopt}, pool());
    cpu::weightNormBackward({gradW, tv, g, gradV, gradG, 2, std::nullopt}, pool());
    outer.clear();
    for (const Tensor& tensor : {w, gradV}) {
      const std::vector<uint32_t> all = bits(tensor);
      outer.insert(outer.end(), all.begin(), all.begin() + 333);
      outer.insert(outer.end(), all.begin() + 666, all.end());
    }
    std::vector<float> inner = floats(w);
    const std::vector<float> gradient = floats(gradV);
    inner.insert(inner.end(), gradient.begin(), gradient.end());
    return inner;
  };
  std::vector<uint32_t> before, after;
  run(1, before);
  const std::vector<float> none = run(0, after);
  bool zero = after == before;
  for (size_t i = 333; i < 666; ++i) zero = zero && none[i] == 0 && none[999 + i] == 0;
  check(zero, "a long row of zeros gives 0 and moves no other");
  for (const float x : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> bad = run(x, after);
    check(std::isnan(bad[400]) && std::isnan(bad[999 + 400]) && after == before, "a non-finite value in a long row stays there");
    check(std::isnan(x) ? std::isnan(bad[500]) : bad[500] == 0, "the rest of a row that is not finite");
  }
}

struct Gradients {
  std::vector<float> v;
  float g;
};
Gradients backward(const std::vector<float>& gradW, const std::vector<float>& v, float g) {
  const Shape shape{1, static_cast<int64_t>(v.size())};
  const Tensor gradV = empty(shape, DType::kFloat32), gradG = empty({1, 1}, DType::kFloat32);
  cpu::weightNormBackward({make(shape, DType::kFloat32, gradW), make(shape, DType::kFloat32, v), make({1, 1}, DType::kFloat32, {g}), gradV,
                           gradG, 2, std::nullopt},
                          pool());
  return {floats(gradV), floats(gradG)[0]};
}

// Within half an ulp each of (g/n) · gradW and of the result, a little more for the other roundings.
void checkGradients(const std::vector<float>& gradW, const std::vector<float>& v, float g, const std::string& what) {
  const double squares = squaresOf(v), n = std::sqrt(squares);
  double product = 0, largest = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    product += static_cast<double>(gradW[i]) * v[i];
    largest = std::max(largest, std::abs(g / n * gradW[i]));
  }
  const Gradients got = backward(gradW, v, g);
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    const double want = g / n * (gradW[i] - v[i] * (product / squares));
    worst = worse(worst, std::abs(got.v[i] - want) / (1.1 * ulp(largest) + 0.6 * ulp(want)));
  }
  check(worst <= 1, "gradV of " + what + " is " + std::to_string(worst) + " times its tolerance off");
  const double gradNorm = std::sqrt(squaresOf(gradW));
  check(std::abs(got.g - product / n) <= ulp(gradNorm), "gradG of " + what);
}

void gradients(Random& random) {
  for (const int64_t length : {16, 77, 400, 1152, 4097}) {
    const std::string name = std::to_string(length) + " values";
    const std::vector<float> plain = normals(random, length), other = normals(random, length);
    checkGradients(other, plain, 1.3f, name);
    // v's one large value takes all that cancels in the sum of products.
    std::vector<float> peaked(plain.size(), 1), signs(plain.size());
    peaked[7] = std::sqrt(static_cast<float>(length));
    for (size_t i = 0; i < signs.size(); ++i) signs[i] = (i % 2 ? -1.0f : 1.0f) + 1e-3f * plain[i];
    checkGradients(signs, peaked, 0.9f, name + ", one large");
    checkGradients(std::vector<float>(plain.size(), 0.3f), peaked, 0.9f, name + ", one large, gradW constant");
    // Magnitudes at which a, b, their product or its rests leave float32.
    for (const float size : {1e-35f, 1e-25f, 1e-12f, 1e12f, 1e25f, 1e30f}) {
      std::vector<float> scaled = plain;
      for (float& x : scaled) x *= size;
      for (const float g : {1e-30f, 1e-3f, 1e3f}) {
        std::vector<float> from = other;
        // Keeps (g/n) · gradW a normal float32.
        const double n = std::sqrt(squaresOf(scaled));
        if (g / n > 1e30 || g / n < 1e-30) {
          for (float& x : from) x = static_cast<float>(x * std::min(1e35, std::max(1e-35, n / g)));
        }
        checkGradients(from, scaled, g, name + " of " + std::to_string(size) + " with g = " + std::to_string(g));
      }
    }
    checkGradients(other, plain, 0, name + ", g = 0");
  }
  // (g/n) · gradW overflows where gradV is 0 but for rounding.
  const Gradients parallel = backward(std::vector<float>(300, 1e38f), std::vector<float>(300, 1e12f), 1.7e14f);
  bool finite = true;
  for (const float x : parallel.v) finite = finite && std::abs(x) <= 1e30f;
  check(finite, "gradV of a gradient along v whose parts overflow");
}

}  // namespace

void testNormSums() {
  Random random(23);
  equalValues();
  unequalValues(random);
  magnitudes(random);
  zerosAndNonFinite(random);
  gradients(random);
  const FlushToZero flush;
  magnitudes(random);
}

}  // namespace testing
