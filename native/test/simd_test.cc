// cpu/simd on every instruction set of this machine: dtype conversion bit for bit against core/dtype.h, elementary
// functions within 1 ulp of float32 of the C library's float64 ones.

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "cpu/simd/vec_table.h"

using namespace weightnorm;
using core::Act;
using core::DType;

namespace {

int passed = 0, failed = 0;

void check(bool ok, const char* isa, const char* what, double got) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAILED %s %s: %g\n", isa, what, got);
}

double ulp(double x) {
  const double a = std::fabs(x);
  if (a < 0x1p-126) return 0x1p-149;
  return std::ldexp(1.0, std::ilogb(a) - 23);
}

std::vector<float> samples(float low, float high) {
  std::mt19937 random(7);
  std::vector<float> x{0.0f, -0.0f, 1.0f, -1.0f, 0x1p-149f, -0x1p-140f, 1e-20f, 0.17f, -0.35f, 0.5f, -0.5f};
  std::uniform_real_distribution<float> wide(low, high), near(-2, 2);
  for (int i = 0; i < 20000; ++i) x.push_back(wide(random));
  for (int i = 0; i < 20000; ++i) x.push_back(near(random));
  for (int i = 0; i < 2003; ++i) x.push_back(std::ldexp(near(random), -static_cast<int>(random() % 60)));
  return x;
}

using Run = std::function<void(const float*, float*, int64_t)>;
using Reference = std::function<double(double)>;

void function(const char* isa, const char* what, float low, float high, const Run& run, const Reference& reference) {
  const std::vector<float> x = samples(low, high);
  std::vector<float> y(x.size());
  run(x.data(), y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = reference(x[i]);
    if (std::isnan(want) ? std::isnan(y[i]) : static_cast<double>(y[i]) == want) continue;
    if (std::isinf(static_cast<float>(want)) && static_cast<float>(want) == y[i]) continue;
    const double error = std::fabs(y[i] - want) / ulp(want);
    worst = error <= worst ? worst : error;
    if (!(error >= 0)) worst = std::numeric_limits<double>::infinity();
  }
  check(worst <= 0.51, isa, what, worst);
}

void conversions(const char* isa, const cpu::VecTable& table) {
  std::vector<uint16_t> bits(65536 + 5);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> wide(bits.size());
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    const bool half = dtype == DType::kFloat16;
    table.convert(bits.data(), dtype, wide.data(), DType::kFloat32, static_cast<int64_t>(bits.size()));
    int wrong = 0;
    for (size_t i = 0; i < bits.size(); ++i) {
      const float want = half ? core::halfToFloat(bits[i]) : core::bfloatToFloat(bits[i]);
      if (std::isnan(want) ? !std::isnan(wide[i]) : std::bit_cast<uint32_t>(want) != std::bit_cast<uint32_t>(wide[i])) ++wrong;
    }
    check(wrong == 0, isa, half ? "float16 to float32" : "bfloat16 to float32", wrong);

    std::mt19937 random(3);
    std::vector<float> in;
    for (int i = 0; i < 200003; ++i) in.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
    for (int i = 0; i < 65536; ++i) {
      // Halfway cases and their neighbours.
      const uint32_t middle =
          std::bit_cast<uint32_t>(half ? core::halfToFloat(static_cast<uint16_t>(i)) : core::bfloatToFloat(static_cast<uint16_t>(i))) +
          (half ? 0x1000u : 0x8000u);
      for (const uint32_t near : {middle - 1, middle, middle + 1}) in.push_back(std::bit_cast<float>(near));
    }
    for (int i = 0; i < 100000; ++i)
      in.push_back(std::ldexp(static_cast<float>(random() % 4096) / 256, -26 + static_cast<int>(random() % 3)));
    std::vector<uint16_t> out(in.size());
    table.convert(in.data(), DType::kFloat32, out.data(), dtype, static_cast<int64_t>(in.size()));
    wrong = 0;
    for (size_t i = 0; i < in.size(); ++i) {
      if (out[i] != (half ? core::floatToHalf(in[i]) : core::floatToBFloat(in[i]))) ++wrong;
    }
    check(wrong == 0, isa, half ? "float32 to float16" : "float32 to bfloat16", wrong);
  }
}

Run activation(const cpu::VecTable& table, Act act, float param = 0, float alpha = 1, bool logScale = false) {
  return [=, &table](const float* x, float* y, int64_t n) { table.activate(act, param, alpha, logScale, x, y, n); };
}

void functions(const char* isa, const cpu::VecTable& t) {
  function(isa, "exp", -110, 95, activation(t, Act::kExp), [](double x) { return std::exp(x); });
  function(isa, "sin", -1e6f, 1e6f, activation(t, Act::kSin), [](double x) { return std::sin(x); });
  function(isa, "sin, large", -1e38f, 1e38f, activation(t, Act::kSin), [](double x) { return std::sin(x); });
  function(isa, "tanh", -12, 12, activation(t, Act::kTanh), [](double x) { return std::tanh(x); });
  function(isa, "sigmoid", -110, 60, activation(t, Act::kSigmoid), [](double x) { return 1 / (1 + std::exp(-x)); });
  function(isa, "silu", -110, 60, activation(t, Act::kSilu), [](double x) { return x / (1 + std::exp(-x)); });
  function(isa, "gelu", -14, 14, activation(t, Act::kGelu), [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); });
  function(isa, "elu", -30, 30, activation(t, Act::kElu, 1), [](double x) { return x < 0 ? std::expm1(x) : x; });
  function(isa, "leaky relu", -30, 30, activation(t, Act::kLeakyRelu, 0.1f),
           [](double x) { return x < 0 ? x * static_cast<double>(0.1f) : x; });
  function(isa, "erf", -7, 7, [&](const float* x, float* y, int64_t n) { t.erf(x, y, n); }, [](double x) { return std::erf(x); });
  function(isa, "log", -1, 3e38f, [&](const float* x, float* y, int64_t n) { t.log(x, y, n); }, [](double x) { return std::log(x); });
  for (const float p : {0.0f, 1.0f, 2.0f, 3.0f, 0.5f, -1.0f, -2.5f, 1.0f / 3, 11.0f}) {
    function(isa, "pow", -40, 40, activation(t, Act::kPow, p), [=](double x) { return std::pow(x, static_cast<double>(p)); });
  }
}

void specials(const char* isa, const cpu::VecTable& t) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto one = [&](Act act, float x) {
    float y = 0;
    t.activate(act, 0.1f, 1, false, &x, &y, 1);
    return y;
  };
  for (const Act act :
       {Act::kLeakyRelu, Act::kRelu, Act::kElu, Act::kGelu, Act::kSilu, Act::kSigmoid, Act::kTanh, Act::kSnake, Act::kExp, Act::kSin}) {
    check(std::isnan(one(act, nan)), isa, "NaN in, NaN out, activation", static_cast<double>(act));
  }
  check(one(Act::kExp, inf) == inf && one(Act::kExp, -inf) == 0, isa, "exp of infinities", one(Act::kExp, inf));
  check(one(Act::kTanh, inf) == 1 && one(Act::kTanh, -inf) == -1, isa, "tanh of infinities", one(Act::kTanh, inf));
  check(one(Act::kSigmoid, inf) == 1 && one(Act::kSigmoid, -inf) == 0, isa, "sigmoid of infinities", one(Act::kSigmoid, inf));
  check(std::isnan(one(Act::kSin, inf)), isa, "sin of infinity", one(Act::kSin, inf));
}

}  // namespace

int main() {
  using cpu::simd::Isa;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!cpu::simd::supported(isa)) continue;
    const cpu::VecTable& table = cpu::get_vecTable(isa);
    conversions(name(isa), table);
    functions(name(isa), table);
    specials(name(isa), table);
  }
  std::printf("native-simd: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
