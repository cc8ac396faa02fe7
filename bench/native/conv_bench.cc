// Speed of single convolutions: GFLOP/s and the share of this core's measured FMA peak for each kind of layer. The peak is measured
// beside every layer and the best counts, because a machine that others use has worse moments.
// Usage: conv_bench [threads] [frames] [direct|auto] [filter]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>

#include "cpu/conv.h"
#include "cpu/conv_kernels.h"
#include "cpu/cpu_device.h"

using namespace weightnorm;
using core::ConvOp;

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

core::Tensor empty(core::Shape shape) {
  core::Tensor tensor{shape, core::DType::kFloat32, nullptr};
  tensor.storage = std::make_shared<core::Storage>(cpu::cpuDevice(), tensor.bytes());
  return tensor;
}

core::Tensor randomTensor(core::Shape shape, std::mt19937& random) {
  core::Tensor tensor = empty(shape);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < tensor.size(); ++i) cpu::dataOf<float>(tensor)[i] = normal(random);
  return tensor;
}

// The best of several timings, each of enough repetitions to be measurable.
double best(const std::function<void()>& body) {
  body();
  const double start = seconds();
  body();
  const int repeats = std::max(1, static_cast<int>(0.004 / std::max(seconds() - start, 1e-7)));
  double least = 1e9;
  for (int round = 0; round < 9; ++round) {
    const double begin = seconds();
    for (int i = 0; i < repeats; ++i) body();
    least = std::min(least, (seconds() - begin) / repeats);
  }
  return least;
}

// GFLOP/s of a full register tile on operands that stay in the first-level cache.
double peak() {
  const cpu::ConvKernels& kernels = cpu::get_convKernels();
  const int64_t terms = 256, width = 3 * kernels.lanes;
  std::vector<float> x(static_cast<size_t>(width), 0.5f), w(static_cast<size_t>(terms * kernels.rows), 0.25f),
      sums(static_cast<size_t>(width * kernels.rows));
  const std::vector<int32_t> offsets(static_cast<size_t>(terms), 0);
  const double time = best([&] {
    for (int i = 0; i < 1000; ++i)
      kernels.multiply(x.data(), offsets.data(), terms, w.data(), kernels.rows, sums.data(), width, width, false);
  });
  return 2e-9 * 1000 * static_cast<double>(terms * width * kernels.rows) / time;
}

struct Layer {
  std::string name;
  int64_t inputs, outputs, kernel, length;
  int64_t stride = 1, dilation = 1, groups = 1;
  bool transposed = false;
  int64_t height = 1, kernelHeight = 1;  // of a Conv2d, which is padded to its own size in both axes
};

using Blocks = std::vector<std::pair<int64_t, std::vector<int64_t>>>;
const Blocks kBlocks1 = {{3, {1, 3, 5}}, {7, {1, 3, 5}}, {11, {1, 3, 5}}};
const Blocks kBlocks2 = {{3, {1, 2}}, {5, {2, 6}}, {7, {3, 12}}};

std::vector<Layer> hifiGan(const std::string& version, int64_t frames, int64_t channels, const std::vector<int64_t>& rates,
                           const std::vector<int64_t>& kernels, const Blocks& blocks) {
  std::vector<Layer> layers{{version + " pre", 80, channels, 7, frames}};
  int64_t length = frames;
  for (size_t s = 0; s < rates.size(); ++s) {
    const std::string stage = version + " stage " + std::to_string(s);
    layers.push_back({stage + " up", channels, channels / 2, kernels[s], length, rates[s], 1, 1, true});
    channels /= 2;
    length *= rates[s];
    for (const auto& [k, dilations] : blocks) {
      for (const int64_t d : dilations)
        layers.push_back({stage + " k" + std::to_string(k) + " d" + std::to_string(d), channels, channels, k, length, 1, d});
    }
  }
  layers.push_back({version + " post", channels, 1, 7, length});
  return layers;
}

struct Result {
  const Layer& layer;
  double time;   // s
  double speed;  // GFLOP/s
};

Result measure(const Layer& l, bool direct, cpu::Pool& pool) {
  std::mt19937 random(1);
  ConvOp op;
  op.direct = direct;
  op.transposed = l.transposed;
  op.stride[1] = l.stride;
  op.dilation[1] = l.dilation;
  op.groups = l.groups;
  const int64_t span = l.dilation * (l.kernel - 1);
  op.padBegin[1] = op.padEnd[1] = l.transposed ? (l.kernel - l.stride) / 2 : span / 2;
  const int64_t out =
      l.transposed ? (l.length - 1) * l.stride - 2 * op.padBegin[1] + l.kernel : (l.length + 2 * op.padBegin[1] - span - 1) / l.stride + 1;
  op.padBegin[0] = op.padEnd[0] = (l.kernelHeight - 1) / 2;
  const auto shape = [&](int64_t first, int64_t second, int64_t rows, int64_t columns) {
    return l.height > 1 ? core::Shape{first, second, rows, columns} : core::Shape{first, second, columns};
  };
  op.x = randomTensor(shape(1, l.inputs, l.height, l.length), random);
  op.weight = l.transposed ? randomTensor(shape(l.inputs, l.outputs / l.groups, l.kernelHeight, l.kernel), random)
                           : randomTensor(shape(l.outputs, l.inputs / l.groups, l.kernelHeight, l.kernel), random);
  op.bias = randomTensor({l.outputs}, random);
  op.scale = randomTensor({l.transposed ? l.inputs : l.outputs}, random);
  op.scalePerInput = l.transposed;
  op.pre = {core::Act::kLeakyRelu, 0.1f, false, {}};
  op.y = empty(shape(1, l.outputs, l.height, out));
  const double time = best([&] { cpu::conv(op, pool); });
  const double work =
      2.0 * static_cast<double>(l.inputs / l.groups * l.outputs * l.kernelHeight * l.kernel * l.height * (l.transposed ? l.length : out));
  return {l, time, work / time * 1e-9};
}

}  // namespace

int main(int argc, char** argv) {
  cpu::Pool pool(argc > 1 ? std::atoi(argv[1]) : 1);
  const int64_t frames = argc > 2 ? std::atoi(argv[2]) : 32;
  const bool direct = argc > 3 && std::strcmp(argv[3], "direct") == 0;
  const std::string filter = argc > 4 ? argv[4] : "";
  std::vector<Layer> layers = hifiGan("V2", frames, 128, {8, 8, 2, 2}, {16, 16, 4, 4}, kBlocks1);
  for (const Layer& l : hifiGan("V1", frames, 512, {8, 8, 2, 2}, {16, 16, 4, 4}, kBlocks1)) layers.push_back(l);
  for (const Layer& l : hifiGan("V3", frames, 256, {8, 8, 4}, {16, 16, 8}, kBlocks2)) layers.push_back(l);
  layers.push_back({"wide k3", 512, 512, 3, 32});
  layers.push_back({"DAC down", 64, 128, 4, 16384, 2});
  layers.push_back({"DAC down", 256, 512, 16, 1024, 8});
  layers.push_back({"DAC up", 768, 384, 16, 87, 8, 1, 1, true});
  layers.push_back({"up 10", 128, 64, 20, 100, 10, 1, 1, true});
  layers.push_back({"pointwise", 192, 192, 1, 4096});
  layers.push_back({"depthwise", 256, 256, 7, 2048, 1, 1, 256});
  layers.push_back({"grouped", 256, 256, 41, 2048, 4, 1, 16});
  for (const int64_t n : {32, 64, 128, 256}) layers.push_back({"Conv2d 3x3", n, n, 3, 32, 1, 1, 1, false, 32, 3});
  layers.push_back({"Conv2d 3x9 of 128", 32, 32, 9, 257, 2, 1, 1, false, 128, 3});
  double top = 0;
  std::vector<Result> results;
  for (const Layer& l : layers) {
    if (l.name.find(filter) == std::string::npos) continue;
    top = std::max(top, peak());
    results.push_back(measure(l, direct, pool));
  }
  std::printf("%s, %d threads, FMA peak %.1f GFLOP/s a core, %s\n", name(cpu::simd::active()), pool.threads(), top,
              direct ? "direct" : "auto");
  for (const auto& [l, time, speed] : results) {
    std::printf("%-18s %4ldx%-4ld k%-2ld %7ld steps %9.1f us %7.1f GFLOP/s %4.0f %%\n", l.name.c_str(), static_cast<long>(l.inputs),
                static_cast<long>(l.outputs), static_cast<long>(l.kernel), static_cast<long>(l.length), time * 1e6, speed,
                100 * speed / top / pool.threads());
  }
  return 0;
}
