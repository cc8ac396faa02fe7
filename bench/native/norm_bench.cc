// Bandwidth of the norm family on the CPU beside memcpy on the same threads: GB/s of each path's own least traffic, from
// the best of several runs (machines are shared). Norms over leading axes, the whole tensor and rows beyond a cache read their input twice.
// Usage: norm_bench [largest tensor in MiB, default 256] [repetitions, default 15]

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "cpu/cpu_device.h"
#include "cpu/nest_plan.h"
#include "cpu/norm.h"
#include "cpu/simd/isa.h"
#include "cpu/weight_norm.h"
#include "cpu/weight_norm_backward.h"

using namespace weightnorm;
using core::DType;
using core::Tensor;

namespace {

int repetitions = 15;

double bestSeconds(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int i = 0; i < repetitions; ++i) {
    const auto begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

Tensor empty(const core::Shape& shape, DType dtype) {
  Tensor tensor{shape, dtype, nullptr};
  tensor.storage = std::make_shared<core::Storage>(cpu::cpuDevice(), tensor.bytes());
  std::memset(cpu::dataOf<void>(tensor), 0, tensor.bytes());
  return tensor;
}

Tensor random(const core::Shape& shape, DType dtype) {
  const Tensor tensor = empty(shape, dtype);
  std::mt19937 engine(1);
  std::uniform_real_distribution<float> uniform(0.5f, 1.5f);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const float x = uniform(engine);
    if (dtype == DType::kFloat32) cpu::dataOf<float>(tensor)[i] = x;
    if (dtype == DType::kFloat16) cpu::dataOf<uint16_t>(tensor)[i] = core::floatToHalf(x);
    if (dtype == DType::kBFloat16) cpu::dataOf<uint16_t>(tensor)[i] = core::floatToBFloat(x);
  }
  return tensor;
}

// ‖w‖ = g within the dtype's rounding, on the first kept index; a wrong kernel must not be timed.
void verify(const Tensor& v, const Tensor& w, const Tensor& g, uint32_t reduce) {
  const auto strides = v.shape.strides();
  double square = 0;
  for (int64_t i = 0; i < v.size(); ++i) {
    bool first = true;
    for (int axis = 0; axis < v.shape.rank() && first; ++axis) {
      if (!(reduce >> axis & 1)) first = i / strides[static_cast<size_t>(axis)] % v.shape[axis] == 0;
    }
    if (!first) continue;
    const double x = v.dtype == DType::kFloat32   ? cpu::dataOf<float>(w)[i]
                     : v.dtype == DType::kFloat16 ? core::halfToFloat(cpu::dataOf<uint16_t>(w)[i])
                                                  : core::bfloatToFloat(cpu::dataOf<uint16_t>(w)[i]);
    square += x * x;
  }
  const double want = cpu::dataOf<float>(g)[0];
  if (!(std::abs(std::sqrt(square) - want) <= want * (v.dtype == DType::kFloat32 ? 1e-5 : 2e-2))) {
    std::printf("wrong result: ‖w‖ = %g, g = %g\n", std::sqrt(square), want);
    std::exit(1);
  }
}

double copyRate(uint64_t bytes) {
  const Tensor from = random({static_cast<int64_t>(bytes / 4)}, DType::kFloat32), to = empty(from.shape, DType::kFloat32);
  std::byte* const a = cpu::dataOf<std::byte>(to);
  const std::byte* const b = cpu::dataOf<std::byte>(from);
  cpu::Pool& pool = cpu::Pool::shared();
  const double seconds = bestSeconds([&] {
    const int64_t part = static_cast<int64_t>(bytes) / pool.threads();
    pool.parallelFor(pool.threads(), [&](int64_t i, int) { std::memcpy(a + i * part, b + i * part, static_cast<size_t>(part)); });
  });
  return 2 * static_cast<double>(bytes) / seconds / 1e9;
}

struct Case {
  const char* label;
  core::Shape shape;
  uint32_t reduce;
};

void bench(const Case& c, DType dtype, double copy) {
  const Tensor v = random(c.shape, dtype), w = empty(c.shape, dtype), gradW = random(c.shape, dtype);
  const core::Shape kept = c.shape.reduced(c.reduce);
  const Tensor g = random(kept, DType::kFloat32), gradG = empty(kept, DType::kFloat32), n = empty(kept, DType::kFloat32);
  cpu::Pool& pool = cpu::Pool::shared();
  const double bytes = static_cast<double>(v.bytes());
  const bool columns = core::Nest(c.shape, c.reduce).form == core::Nest::Form::kColumns;
  const double reads = columns || cpu::NestPlan(c.shape, c.reduce).reducedBlocks() > 1 ? 2 : 1;

  const double forward = bestSeconds([&] { cpu::weightNorm({v, g, w, c.reduce, std::nullopt}, pool); });
  verify(v, w, g, c.reduce);
  const double norms = bestSeconds([&] { cpu::norm({v, n, c.reduce}, pool); });
  const double backward = bestSeconds([&] { cpu::weightNormBackward({gradW, v, g, w, gradG, c.reduce, std::nullopt}, pool); });
  const double rates[] = {(reads + 1) * bytes / forward / 1e9, bytes / norms / 1e9, (2 * reads + 1) * bytes / backward / 1e9};
  std::printf("%-26s %-9s %8.1f %4.0f%% %8.1f %4.0f%% %8.1f %4.0f%%\n", c.label, core::name(dtype), rates[0], 100 * rates[0] / copy,
              rates[1], 100 * rates[1] / copy, rates[2], 100 * rates[2] / copy);
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t largest = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 256) << 20;
  if (argc > 2) repetitions = std::max(1, std::atoi(argv[2]));
  std::printf("%s, %s, %d threads\n", cpu::cpuDevice()->info().name.c_str(), cpu::simd::name(cpu::simd::active()),
              cpu::Pool::shared().threads());
  const double copy = copyRate(std::min(largest, uint64_t{256} << 20));
  std::printf("memcpy %.1f GB/s\n%-26s %-9s %14s %14s %14s\n", copy, "shape, kept", "dtype", "weightNorm", "norm", "backward");
  const Case cases[] = {
      {"4096x4096 rows", {4096, 4096}, 2},        {"8192x8192 rows", {8192, 8192}, 2},
      {"512x5632 rows", {512, 5632}, 2},          {"65536x64 rows", {65536, 64}, 2},
      {"256x65536 rows", {256, 65536}, 2},        {"8x2097152 rows", {8, 2097152}, 2},
      {"2097152x7 rows", {2097152, 7}, 2},        {"4096x4096 columns", {4096, 4096}, 1},
      {"65536x64 columns", {65536, 64}, 1},       {"512x65536 columns", {512, 65536}, 1},
      {"2097152x3 columns", {2097152, 3}, 1},     {"16777216 whole", {16777216}, 1},
      {"1024x2048x7 middle", {1024, 2048, 7}, 5}, {"2048x64x128 ends", {2048, 64, 128}, 2},
      {"65536x16x7 ends", {65536, 16, 7}, 2},     {"64x32x64x128 alternate", {64, 32, 64, 128}, 5},
  };
  for (const Case& c : cases) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      if (static_cast<uint64_t>(c.shape.size()) * core::sizeOf(dtype) <= largest) bench(c, dtype, copy);
    }
  }
}
