#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"
#include "cpu/cpu_device.h"
#include "cpu/simd/isa.h"
#include "host_values.h"

// What the native tests share: a device whose fresh memory is all NaN, tensors with known float64 values, a count of
// what passed.
namespace testing {

using namespace weightnorm;
using core::DType;

inline int passed = 0, failed = 0;

inline void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 20) std::printf("FAILED %s\n", what.c_str());
}

inline int report(const char* suite) {
  std::printf("%s: %d passed, %d failed\n", suite, passed, failed);
  return failed == 0 ? 0 : 1;
}

class PoisonedDevice final : public core::Device {
 public:
  PoisonedDevice() : core::Device(uint64_t{1} << 34) {}
  const core::DeviceInfo& info() const override { return info_; }
  std::unique_ptr<core::Buffer> allocate(uint64_t bytes) override { return std::make_unique<Buffer>(bytes); }
  uint64_t cachedBytes() const override { return 0; }
  void trim() override {}
  std::unique_ptr<core::Backend> createBackend() override { return nullptr; }

 private:
  class Buffer final : public cpu::CpuBuffer {
   public:
    explicit Buffer(uint64_t bytes) : size_((bytes + 127) / 64 * 64), data_(static_cast<std::byte*>(std::aligned_alloc(64, size_))) {
      std::memset(data_, 0xff, size_);
    }
    ~Buffer() override { std::free(data_); }
    std::byte* data() override { return data_; }

   private:
    uint64_t size_;
    std::byte* data_;
  };
  core::DeviceInfo info_;
};

inline std::shared_ptr<core::Device> device() {
  static const auto instance = std::make_shared<PoisonedDevice>();
  return instance;
}

inline double readElement(const core::Tensor& t, int64_t i) {
  if (t.dtype == DType::kFloat32) return cpu::dataOf<float>(t)[i];
  return valueOf(cpu::dataOf<uint16_t>(t)[i], t.dtype);
}
// Rounds.
inline void writeElement(const core::Tensor& t, int64_t i, float value) {
  if (t.dtype == DType::kFloat32) {
    cpu::dataOf<float>(t)[i] = value;
  } else {
    cpu::dataOf<uint16_t>(t)[i] = bitsOf(value, t.dtype);
  }
}

inline core::Tensor empty(core::Shape shape, DType dtype) {
  core::Tensor t{shape, dtype, nullptr};
  t.storage = std::make_shared<core::Storage>(device(), t.bytes());
  return t;
}

// Normally distributed values around `mean`, rounded to dtype.
inline core::Tensor randomTensor(core::Shape shape, DType dtype, std::mt19937& random, float mean = 0, float deviation = 1) {
  core::Tensor t = empty(shape, dtype);
  std::normal_distribution<float> normal(mean, deviation);
  for (int64_t i = 0; i < t.size(); ++i) writeElement(t, i, normal(random));
  return t;
}

inline std::vector<double> values(const core::Tensor& t) {
  std::vector<double> v(static_cast<size_t>(t.size()));
  for (int64_t i = 0; i < t.size(); ++i) v[static_cast<size_t>(i)] = readElement(t, i);
  return v;
}

// ‖y − want‖ / ‖want‖; NaN anywhere makes it NaN.
inline double relativeError(const core::Tensor& y, const std::vector<double>& want) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < y.size(); ++i) {
    const double w = want[static_cast<size_t>(i)], d = readElement(y, i) - w;
    difference += d * d;
    norm += w * w;
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

// The layer tolerance for reductions of `terms` terms.
inline double layerTolerance(int64_t terms, DType dtype) {
  const double rounding = dtype == DType::kFloat16 ? 0x1p-11 : dtype == DType::kBFloat16 ? 0x1p-8 : 0;
  return 3e-6 * std::fmax(1.0, std::sqrt(static_cast<double>(terms) / 4096)) + rounding;
}

inline bool sameBits(const core::Tensor& a, const core::Tensor& b) {
  return std::memcmp(cpu::dataOf<std::byte>(a), cpu::dataOf<std::byte>(b), a.bytes()) == 0;
}

inline double applyActivation(const core::Activation& act, double x, double alpha) {
  using core::Act;
  const double p = act.param;
  switch (act.kind) {
    case Act::kLeakyRelu:
      return x < 0 ? x * p : x;
    case Act::kRelu:
      return x < 0 ? 0 : x;
    case Act::kElu:
      return x < 0 ? p * std::expm1(x) : x;
    case Act::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Act::kSilu:
      return x / (1 + std::exp(-x));
    case Act::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Act::kTanh:
      return std::tanh(x);
    case Act::kSnake: {
      const double a = act.logScale ? std::exp(alpha) : alpha;
      return x + std::sin(a * x) * std::sin(a * x) / (a + 1e-9);
    }
    case Act::kExp:
      return std::exp(x);
    case Act::kSin:
      return std::sin(x);
    case Act::kPow:
      return std::pow(x, p);
    default:
      return x;
  }
}

// Runs body() on every instruction set of this machine.
template <class Body>
void onEveryIsa(const Body& body) {
  using cpu::simd::Isa;
  const Isa before = cpu::simd::active();
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (cpu::simd::use(isa)) body(isa);
  }
  cpu::simd::use(before);
}

}  // namespace testing
