#include <cmath>

#include "harness.h"
#include "metal/overrides.h"

// Convolutions of every kind against float64: geometry, groups, padding, what is fused before and after, both kernels, both index widths.
namespace testing {

namespace {

struct Case {
  const char* name;
  Shape x, weight;
  bool transposed = false;
  int64_t groups = 1;
  std::array<int64_t, 2> stride{1, 1}, dilation{1, 1}, padBegin{0, 0}, padEnd{0, 0}, outputPadding{0, 0};
  core::PadMode mode = core::PadMode::kZeros;
};

using core::PadMode;
const Case kCases[] = {
    {"1x1", {2, 16, 40}, {24, 16, 1}},
    {"k3 same", {2, 12, 70}, {40, 12, 3}, false, 1, {1, 1}, {1, 1}, {0, 1}, {0, 1}},
    {"wide tile", {1, 8, 300}, {70, 8, 5}, false, 1, {1, 1}, {1, 3}, {0, 6}, {0, 6}},
    {"k7 dilated, asymmetric", {1, 9, 50}, {8, 9, 7}, false, 1, {1, 1}, {1, 3}, {0, 18}, {0, 0}},
    {"strided", {3, 10, 61}, {33, 10, 4}, false, 1, {1, 3}, {1, 1}, {0, 2}, {0, 1}},
    {"one channel in", {2, 1, 90}, {32, 1, 15}, false, 1, {1, 1}, {1, 1}, {0, 7}, {0, 7}},
    {"one channel out", {2, 32, 45}, {1, 32, 7}, false, 1, {1, 1}, {1, 1}, {0, 3}, {0, 3}},
    {"depthwise", {2, 20, 33}, {20, 1, 5}, false, 20, {1, 1}, {1, 2}, {0, 4}, {0, 4}},
    {"grouped direct", {1, 12, 30}, {20, 3, 3}, false, 4, {1, 2}, {1, 1}, {0, 1}, {0, 1}},
    {"grouped tiles", {2, 12, 50}, {48, 4, 3}, false, 3, {1, 2}, {1, 1}, {0, 1}, {0, 1}},
    {"reflect", {1, 6, 20}, {16, 6, 9}, false, 1, {1, 1}, {1, 1}, {0, 7}, {0, 5}, {}, PadMode::kReflect},
    {"replicate", {1, 6, 5}, {16, 6, 9}, false, 1, {1, 1}, {1, 1}, {0, 12}, {0, 8}, {}, PadMode::kReplicate},
    {"circular", {1, 6, 20}, {16, 6, 9}, false, 1, {1, 2}, {1, 1}, {0, 20}, {0, 3}, {}, PadMode::kCircular},
    {"reflect direct", {1, 6, 20}, {2, 6, 9}, false, 1, {1, 1}, {1, 1}, {0, 7}, {0, 5}, {}, PadMode::kReflect},
    {"single output", {1, 8, 3}, {9, 8, 3}},
    {"huge stride and padding", {1, 4, 3}, {8, 4, 1}, false, 1, {1, int64_t{1} << 33}, {1, 1}, {0, int64_t{1} << 33}, {0, 5}},
    {"2d", {2, 5, 9, 11}, {17, 5, 3, 3}, false, 1, {2, 1}, {1, 2}, {1, 2}, {1, 2}},
    {"2d discriminator", {1, 8, 20, 3}, {40, 8, 5, 1}, false, 1, {3, 1}, {1, 1}, {2, 0}, {2, 0}},
    {"2d reflect, grouped", {1, 4, 6, 7}, {16, 2, 3, 3}, false, 2, {1, 1}, {1, 1}, {1, 2}, {2, 1}, {}, PadMode::kReflect},
    {"2d depthwise", {1, 6, 8, 8}, {6, 1, 3, 3}, false, 6, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"transposed s2", {2, 10, 21}, {10, 24, 4}, true, 1, {1, 2}, {1, 1}, {0, 1}, {0, 1}},
    {"transposed s8 k16", {1, 16, 12}, {16, 33, 16}, true, 1, {1, 8}, {1, 1}, {0, 4}, {0, 4}},
    {"transposed s3 k7 output padding", {1, 5, 9}, {5, 16, 7}, true, 1, {1, 3}, {1, 1}, {0, 2}, {0, 1}, {0, 2}},
    {"transposed s5 k3: phases without taps", {1, 5, 9}, {5, 16, 3}, true, 1, {1, 5}, {1, 1}, {0, 0}, {0, 0}, {0, 4}},
    {"transposed dilated", {1, 6, 14}, {6, 12, 5}, true, 1, {1, 3}, {1, 2}, {0, 3}, {0, 2}},
    {"transposed dilation shares a factor", {1, 6, 14}, {6, 12, 5}, true, 1, {1, 4}, {1, 6}, {0, 3}, {0, 2}},
    {"transposed grouped", {2, 12, 10}, {12, 16, 4}, true, 3, {1, 2}, {1, 1}, {0, 1}, {0, 1}},
    {"transposed depthwise", {1, 8, 15}, {8, 1, 4}, true, 8, {1, 2}, {1, 1}, {0, 1}, {0, 1}},
    {"transposed unit stride", {1, 8, 15}, {8, 20, 5}, true, 1, {1, 1}, {1, 2}, {0, 4}, {0, 4}},
    {"transposed one step", {1, 8, 1}, {8, 20, 5}, true, 1, {1, 7}, {1, 2}, {0, 2}, {0, 1}},
    {"transposed 2d", {1, 4, 5, 6}, {4, 12, 4, 3}, true, 1, {2, 3}, {1, 1}, {1, 0}, {1, 1}, {1, 0}},
    {"more than 65536 channels", {1, 8, 1}, {65600, 8, 1}},
    {"more than 65536 positions", {1, 1, 65700}, {8, 1, 3}, false, 1, {1, 1}, {1, 1}, {0, 1}, {0, 1}},
    {"more than 65536 channels, depthwise", {1, 65600, 2}, {65600, 1, 2}, false, 65600},
};

// What else a case carries.
struct Fused {
  const char* name = "plain";
  bool bias = false, residual = false, running = false, float32Bias = false;
  int scale = 0;  // 1 one value, 2 a channel, 3 an input channel
  core::Act pre = core::Act::kNone, post = core::Act::kNone;
  float preParam = 0, postParam = 0, outScale = 1;
  bool logScale = false;
};

double activation(core::Act kind, double x, double param, double alpha, bool logScale) {
  switch (kind) {
    case core::Act::kLeakyRelu:
      return x < 0 ? x * param : x;
    case core::Act::kElu:
      return x < 0 ? param * std::expm1(x) : x;
    case core::Act::kTanh:
      return std::tanh(x);
    case core::Act::kSnake: {
      const double a = logScale ? std::exp(alpha) : alpha;
      return x + std::pow(std::sin(a * x), 2) / (a + 1e-9);
    }
    default:
      return x;
  }
}

// Index of the input element that padded index i reads; -1 for a zero.
int64_t source(int64_t i, int64_t length, PadMode mode) {
  if (i >= 0 && i < length) return i;
  if (mode == PadMode::kReflect) return i < 0 ? -i : 2 * (length - 1) - i;
  if (mode == PadMode::kReplicate) return i < 0 ? 0 : length - 1;
  if (mode == PadMode::kCircular) return (i + length) % length;
  return -1;
}

struct Geometry {
  int64_t in[2], out[2], kernel[2];
};

Geometry geometry(const core::ConvOp& op) {
  Geometry g{{1, 1}, {1, 1}, {1, 1}};
  const int rank = op.x.shape.rank();
  for (int d = rank == 3 ? 1 : 0; d < 2; ++d) {
    g.in[d] = op.x.shape[rank - 2 + d];
    g.out[d] = op.y.shape[rank - 2 + d];
    g.kernel[d] = op.weight.shape[rank - 2 + d];
  }
  return g;
}

// Σ pre(x)·w by scattering or gathering, one output channel plane at a time.
std::vector<double> sums(const core::ConvOp& op, const std::vector<double>& x, const std::vector<double>& w) {
  const Geometry g = geometry(op);
  const int64_t batches = op.x.shape[0], inputs = op.x.shape[1], outputs = op.y.shape[1];
  const int64_t inGroup = inputs / op.groups, outGroup = outputs / op.groups;
  std::vector<double> y(static_cast<size_t>(op.y.size()));
  const auto offset = [&](size_t d, int64_t o, int64_t k) { return o * op.stride[d] + k * op.dilation[d] - op.padBegin[d]; };
  for (int64_t n = 0; n < batches; ++n) {
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t c = o / outGroup * inGroup; c < (o / outGroup + 1) * inGroup; ++c) {
        const double* from = &x[static_cast<size_t>((n * inputs + c) * g.in[0] * g.in[1])];
        double* to = &y[static_cast<size_t>((n * outputs + o) * g.out[0] * g.out[1])];
        const int64_t row = op.transposed ? c * outGroup + o % outGroup : o * inGroup + c % inGroup;
        const double* taps = &w[static_cast<size_t>(row * g.kernel[0] * g.kernel[1])];
        for (int64_t kh = 0; kh < g.kernel[0]; ++kh) {
          for (int64_t kw = 0; kw < g.kernel[1]; ++kw) {
            const double tap = taps[kh * g.kernel[1] + kw];
            const int64_t walkH = op.transposed ? g.in[0] : g.out[0], walkW = op.transposed ? g.in[1] : g.out[1];
            for (int64_t h = 0; h < walkH; ++h) {
              for (int64_t v = 0; v < walkW; ++v) {
                if (op.transposed) {
                  const int64_t oh = offset(0, h, kh), ow = offset(1, v, kw);
                  if (oh >= 0 && oh < g.out[0] && ow >= 0 && ow < g.out[1]) to[oh * g.out[1] + ow] += tap * from[h * g.in[1] + v];
                } else {
                  const int64_t ih = source(offset(0, h, kh), g.in[0], op.padMode), iw = source(offset(1, v, kw), g.in[1], op.padMode);
                  if (ih >= 0 && iw >= 0) to[h * g.out[1] + v] += tap * from[ih * g.in[1] + iw];
                }
              }
            }
          }
        }
      }
    }
  }
  return y;
}

void convolution(const Case& test, const Fused& fused, DType dtype) {
  Random random(31);
  core::ConvOp op;
  op.transposed = test.transposed;
  op.groups = test.groups;
  op.stride = test.stride;
  op.dilation = test.dilation;
  op.padBegin = test.padBegin;
  op.padEnd = test.padEnd;
  op.outputPadding = test.outputPadding;
  op.padMode = test.mode;
  op.x = make(test.x, dtype, normal(random));
  op.weight = make(test.weight, dtype, normal(random, 0.3));
  const int64_t inputs = test.x[1], outputs = test.transposed ? test.weight[1] * test.groups : test.weight[0];
  if (fused.bias) op.bias = make({outputs}, fused.float32Bias ? DType::kFloat32 : dtype, normal(random));
  if (fused.scale) {
    op.scale = make({fused.scale == 1 ? 1 : fused.scale == 2 ? outputs : inputs}, DType::kFloat32, normal(random, 0.2, 1));
    op.scalePerInput = fused.scale == 3;
  }
  op.pre = {fused.pre, fused.preParam, fused.logScale, {}};
  op.post = {fused.post, fused.postParam, fused.logScale, {}};
  if (fused.pre == core::Act::kSnake) op.pre.alpha = make({inputs}, dtype, normal(random, 0.1, 0.7));
  if (fused.post == core::Act::kSnake) op.post.alpha = make({1, outputs, 1}, dtype, normal(random, 0.1, 0.7));
  op.outScale = fused.outScale;
  core::ConvOp probe = op;
  core::prepare(probe);
  if (fused.residual) op.residual = make(probe.y.shape, dtype, normal(random));
  if (fused.running) op.running = make(probe.y.shape, dtype, normal(random));
  core::prepare(op);
  backend().run(op);

  auto x = read(op.x);
  const auto values = [](const Tensor& t) { return t ? read(t) : std::vector<double>(); };
  const auto bias = values(op.bias), scale = values(op.scale), residual = values(op.residual), running = values(op.running);
  const auto preAlpha = values(op.pre.alpha), postAlpha = values(op.post.alpha);
  const size_t inPlane = x.size() / static_cast<size_t>(test.x[0] * inputs);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / inPlane % static_cast<size_t>(inputs);
    x[i] = activation(op.pre.kind, x[i], op.pre.param, preAlpha.empty() ? 0 : preAlpha[c], op.pre.logScale);
    if (fused.scale == 3) x[i] *= scale[c];
  }
  std::vector<double> want = sums(op, x, read(op.weight));
  const size_t outPlane = want.size() / static_cast<size_t>(test.x[0] * outputs);
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t c = i / outPlane % static_cast<size_t>(outputs);
    if (fused.scale == 1) want[i] *= scale[0];
    if (fused.scale == 2) want[i] *= scale[c];
    if (!bias.empty()) want[i] += bias[c];
    if (!residual.empty()) want[i] += residual[i];
    if (!running.empty()) want[i] += running[i];
    want[i] = activation(op.post.kind, want[i] * fused.outScale, op.post.param, postAlpha.empty() ? 0 : postAlpha[c], op.post.logScale);
  }
  const double error = relativeError(read(op.y), want);
  const double allowed = 3e-6 + (dtype == DType::kFloat32 ? 0 : ulp(1, dtype));
  check(error <= allowed,
        std::string("conv ") + test.name + ", " + fused.name + ", " + core::name(dtype) + ": error " + std::to_string(error));
}

// The same column of a longer input, of a batch, or in another place gives the same bits.
void independence(bool transposed) {
  Random random(41);
  const Shape weight = transposed ? Shape{24, 40, 4} : Shape{40, 24, 5};
  const Tensor w = make(weight, DType::kFloat32, normal(random));
  std::vector<float> values(24 * 400);
  auto one = normal(random);
  for (float& x : values) x = one();
  const auto run = [&](int64_t batches, int64_t start, int64_t length) {
    std::vector<float> x(static_cast<size_t>(batches * 24 * length));
    for (int64_t n = 0; n < batches; ++n) {
      for (int64_t c = 0; c < 24; ++c) {
        for (int64_t t = 0; t < length; ++t)
          x[static_cast<size_t>((n * 24 + c) * length + t)] = values[static_cast<size_t>(c * 400 + start + t)];
      }
    }
    core::ConvOp op;
    op.x = make({batches, 24, length}, DType::kFloat32, x);
    op.weight = w;
    op.transposed = transposed;
    op.stride = {1, transposed ? 2 : 1};
    op.direct = true;
    core::prepare(op);
    backend().run(op);
    return std::pair{read(op.y), op.y.shape[2]};
  };
  const auto [whole, wholeLength] = run(1, 0, 400);
  const auto [part, partLength] = run(3, 100, 20);
  bool same = true;
  const int64_t step = transposed ? 2 : 1, edge = transposed ? 3 : 0;
  for (int64_t o = 0; o < 40; ++o) {
    for (int64_t t = edge; t < partLength - edge; ++t) {
      same =
          same && whole[static_cast<size_t>(o * wholeLength + 100 * step + t)] == part[static_cast<size_t>((2 * 40 + o) * partLength + t)];
    }
  }
  check(same, std::string(transposed ? "transposed " : "") + "outputs depend on the layer alone, bit for bit");
}

}  // namespace

void testConvolutions() {
  using core::Act;
  for (const Case& test : kCases) {
    for (const DType dtype : kDTypes) convolution(test, {}, dtype);
  }
  const Fused fusions[] = {
      {"leaky, scale, bias", true, false, false, false, 2, Act::kLeakyRelu, Act::kNone, 0.1f},
      {"one scale, residual, running, tanh", false, true, true, false, 1, Act::kNone, Act::kTanh, 0, 0, 0.5f},
      {"elu in and out, float32 bias", true, false, false, true, 0, Act::kElu, Act::kElu, 1, 0.7f},
      {"snake in and out, everything", true, true, true, false, 2, Act::kSnake, Act::kSnake, 0, 0, 0.25f},
      {"log snake in and out", false, false, false, false, 0, Act::kSnake, Act::kSnake, 0, 0, 1, true},
  };
  const Fused perInput{"leaky, scale of inputs, bias", true, false, false, false, 3, Act::kLeakyRelu, Act::kNone, 0.1f};
  for (const Case& test : kCases) {
    const std::string name = test.name;
    if (name != "k3 same" && name != "depthwise" && name != "transposed grouped" && name != "transposed depthwise" && name != "2d")
      continue;
    for (const DType dtype : kDTypes) {
      for (const Fused& fused : fusions) convolution(test, fused, dtype);
      if (test.transposed) convolution(test, perInput, dtype);
    }
  }
  // Indices of 64 bits, which only huge tensors need.
  metal::overrides().wideIndices = true;
  for (const Case& test : kCases) {
    if (test.x.size() < 10000) convolution(test, {"64-bit"}, DType::kFloat32);
  }
  metal::overrides().wideIndices = false;
  independence(false);
  independence(true);
}

}  // namespace testing
