// Convolutions against a float64 loop nest: random shapes, options, dtypes, instruction sets and thread counts.

#include "cpu/conv.h"

#include <algorithm>

#include "conv_reference.h"
#include "cpu/conv_kernels.h"
#include "cpu/conv_plan.h"
#include "cpu/conv_winograd.h"
#include "testing.h"

using namespace testing;
using core::Act;
using core::Activation;
using core::ConvOp;
using core::PadMode;

namespace {

using Pair = std::array<int64_t, 2>;

struct Case {
  bool flat = true, transposed = false;
  int64_t batch = 1, groups = 1, inputs = 1, outputs = 1;  // channels of one group
  Pair size{1, 1}, kernel{1, 1}, stride{1, 1}, dilation{1, 1}, padBegin{0, 0}, padEnd{0, 0}, outputPadding{0, 0};
  PadMode mode = PadMode::kZeros;
  DType dtype = DType::kFloat32;
  float mean = 0;

  bool valid() const {
    for (size_t a = 0; a < 2; ++a) {
      if (outSize(a) < 1) return false;
      if (mode == PadMode::kReflect && std::max(padBegin[a], padEnd[a]) >= size[a]) return false;
    }
    return true;
  }
  int64_t outSize(size_t a) const {
    const int64_t span = dilation[a] * (kernel[a] - 1);
    if (transposed) return (size[a] - 1) * stride[a] - padBegin[a] - padEnd[a] + span + outputPadding[a] + 1;
    const int64_t room = size[a] + padBegin[a] + padEnd[a] - span - 1;
    return room < 0 ? 0 : room / stride[a] + 1;
  }
  core::Shape shape(int64_t a, int64_t b, Pair hw) const { return flat ? core::Shape{a, b, hw[1]} : core::Shape{a, b, hw[0], hw[1]}; }

  ConvOp make(std::mt19937& random) const {
    ConvOp op;
    const int64_t C = groups * inputs, O = groups * outputs;
    op.x = randomTensor(shape(batch, C, size), dtype, random, mean);
    op.weight = randomTensor(transposed ? shape(C, outputs, kernel) : shape(O, inputs, kernel), dtype, random, mean, 0.3f);
    op.y = empty(shape(batch, O, {outSize(0), outSize(1)}), dtype);
    op.transposed = transposed;
    op.stride = stride, op.dilation = dilation, op.padBegin = padBegin, op.padEnd = padEnd, op.outputPadding = outputPadding;
    op.groups = groups;
    op.padMode = mode;
    return op;
  }
  int64_t terms() const { return inputs * kernel[0] * kernel[1]; }
  std::string str(const char* isa) const {
    char text[300];
    std::snprintf(
        text, sizeof text,
        "%s%s%s dtype %d batch %d groups %d channels %d to %d size %dx%d kernel %dx%d stride %dx%d dilation %dx%d pad %d,%d %d,%d mode %d",
        isa, flat ? " 1-D" : " 2-D", transposed ? " transposed" : "", int(dtype), int(batch), int(groups), int(inputs), int(outputs),
        int(size[0]), int(size[1]), int(kernel[0]), int(kernel[1]), int(stride[0]), int(stride[1]), int(dilation[0]), int(dilation[1]),
        int(padBegin[0]), int(padEnd[0]), int(padBegin[1]), int(padEnd[1]), int(mode));
    return text;
  }
};

void addOptions(ConvOp& op, std::mt19937& random) {
  const auto flip = [&] { return random() % 2 == 0; };
  const int64_t C = dim(op.x, 1), O = dim(op.y, 1);
  const DType dtype = op.x.dtype;
  if (flip()) op.bias = randomTensor({O}, dtype, random);
  if (flip()) op.residual = randomTensor(op.y.shape, dtype, random);
  if (flip()) op.running = randomTensor(op.y.shape, dtype, random);
  if (flip()) op.outScale = 1.0f / 3;
  op.scalePerInput = op.transposed && flip();
  const int kind = static_cast<int>(random() % 3);
  if (kind > 0) op.scale = randomTensor({kind == 1 ? 1 : op.scalePerInput ? C : O}, DType::kFloat32, random, 1, 0.2f);
  if (kind == 0) op.scalePerInput = false;
  const Act acts[] = {Act::kNone, Act::kNone, Act::kLeakyRelu, Act::kRelu, Act::kElu,
                      Act::kGelu, Act::kSilu, Act::kSigmoid,   Act::kTanh, Act::kSnake};
  const auto activation = [&](int64_t channels) {
    Activation act{acts[random() % 10], 0.1f, false, {}};
    if (act.kind == Act::kSnake) {
      act.logScale = flip();
      act.alpha = randomTensor({channels}, dtype, random, 1, 0.2f);
    }
    return act;
  };
  op.pre = activation(C);
  op.post = activation(O);
}

Case randomCase(std::mt19937& random) {
  const auto range = [&](int64_t a, int64_t b) { return a + static_cast<int64_t>(random() % static_cast<uint64_t>(b - a + 1)); };
  for (;;) {
    Case c;
    c.flat = random() % 3 != 0;
    c.transposed = random() % 3 == 0;
    c.batch = range(1, 2);
    c.groups = random() % 3 == 0 ? range(2, 9) : 1;
    c.inputs = range(1, random() % 4 == 0 ? 40 : 9);
    c.outputs = range(1, random() % 4 == 0 ? 40 : 9);
    if (random() % 8 == 0) c.inputs = c.outputs = 1;
    for (size_t a = c.flat ? 1 : 0; a < 2; ++a) {
      c.size[a] = c.flat ? range(1, random() % 4 == 0 ? 2500 : 130) : range(1, random() % 4 == 0 ? 90 : 14);
      c.kernel[a] = range(1, c.flat ? 11 : 4);
      c.stride[a] = random() % 2 ? 1 : range(1, c.flat ? 10 : 3);
      c.dilation[a] = random() % 2 ? 1 : range(1, 5);
      c.padBegin[a] = range(0, 6);
      c.padEnd[a] = range(0, 6);
      if (c.transposed) c.outputPadding[a] = range(0, std::max(c.stride[a], c.dilation[a]) - 1);
    }
    if (!c.transposed) c.mode = static_cast<PadMode>(random() % 4);
    c.dtype = static_cast<DType>(random() % 4 % 3);
    const double work = static_cast<double>(c.batch * c.groups * c.terms() * c.outputs) *
                        static_cast<double>(std::max(c.outSize(0), int64_t{1}) * std::max(c.outSize(1), int64_t{1}));
    if (c.valid() && work < 4e6) return c;
  }
}

void run(const Case& c, ConvOp op, const char* isa, cpu::Pool& one, cpu::Pool& many) {
  const std::vector<double> want = reference(op);
  const double tolerance = layerTolerance(c.terms(), c.dtype);
  cpu::conv(op, one);
  const double error = relativeError(op.y, want);
  check(error <= tolerance, c.str(isa) + ": relative error " + std::to_string(error));
  ConvOp again = op;
  again.y = empty(op.y.shape, op.y.dtype);
  cpu::conv(again, many);
  check(sameBits(op.y, again.y), c.str(isa) + ": other bits with more threads");
}

void randomCases(const char* isa, int count, unsigned seed) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(seed);
  for (int i = 0; i < count; ++i) {
    const Case c = randomCase(random);
    ConvOp op = c.make(random);
    addOptions(op, random);
    op.direct = random() % 2 == 0;
    run(c, op, isa, one, many);
  }
}

// Runs a shape with a padding, dtype, mean and options of its own, if it is one at all; whether the Toom-Cook algorithm serves it.
bool runServed(Case c, int i, std::mt19937& random, const char* isa, cpu::Pool& one, cpu::Pool& many) {
  c.mode = static_cast<PadMode>(random() % 4);
  c.dtype = static_cast<DType>(random() % 4 % 3);
  c.mean = i % 3 == 0 ? 1.0f : 0.0f;
  if (!c.valid()) return false;
  ConvOp op = c.make(random);
  addOptions(op, random);
  run(c, op, isa, one, many);
  return cpu::winogradServes(op);
}

// Shapes that the Toom-Cook algorithm serves: enough channels and length, any kernel and dilation.
void fastCases(const char* isa, int count, unsigned seed) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(seed);
  const auto range = [&](int64_t a, int64_t b) { return a + static_cast<int64_t>(random() % static_cast<uint64_t>(b - a + 1)); };
  int served = 0;
  for (int i = 0; i < count; ++i) {
    Case c;
    c.inputs = range(16, 70);
    c.outputs = range(16, 70);
    c.kernel[1] = random() % 2 ? 3 : range(4, 13);
    c.dilation[1] = random() % 2 ? 1 : range(2, 16);
    c.size[1] = range(150, 900) + c.dilation[1] * (c.kernel[1] - 1);
    c.padBegin[1] = range(0, 9);
    c.padEnd[1] = range(0, 9);
    c.groups = range(1, 2);
    served += runServed(c, i, random, isa, one, many);
  }
  check(served > count / 2, std::string(isa) + ": the fast algorithm serves few of the shapes made for it");
  for (const int64_t channels : {256, 1024}) {
    for (const int64_t kernel : {3, 7}) {
      Case c;
      c.inputs = channels, c.outputs = 16, c.kernel[1] = kernel, c.size[1] = 300;
      ConvOp op = c.make(random);
      check(cpu::winogradServes(op), c.str(isa) + ": not served");
      run(c, op, isa, one, many);
    }
  }
}

// Images that it serves, row by row: any kernel, few and many rows a chunk, rows of whole vectors and much shorter ones.
void fastImages(const char* isa, int count, unsigned seed) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(seed);
  const auto range = [&](int64_t a, int64_t b) { return a + static_cast<int64_t>(random() % static_cast<uint64_t>(b - a + 1)); };
  int served = 0;
  for (int i = 0; i < count; ++i) {
    Case c;
    c.flat = false;
    c.inputs = range(16, i % 4 == 0 ? 160 : 40);
    c.outputs = range(24, 60);
    c.kernel = {range(1, 4), random() % 2 ? 3 : range(4, 9)};
    c.dilation = {range(1, 2), range(1, 2)};
    c.size = {range(i % 4 == 0 ? 1 : 6, 40) + (c.kernel[0] - 1) * c.dilation[0],
              range(i % 4 == 0 ? 3 : 24, i % 5 == 0 ? 150 : 60) + (c.kernel[1] - 1) * c.dilation[1]};
    c.padBegin = {range(0, 3), range(0, 3)};
    c.padEnd = {range(0, 3), range(0, 3)};
    c.groups = range(1, 2);
    c.batch = range(1, 2);
    served += runServed(c, i, random, isa, one, many);
  }
  check(served > count / 2, std::string(isa) + ": the fast algorithm serves few of the images made for it");
  for (const int64_t channels : {256, 1024}) {
    for (const int64_t kernel : {3, 4}) {
      Case c;
      c.flat = false, c.inputs = channels, c.outputs = 64, c.kernel = {3, kernel}, c.size = {10, 34}, c.padBegin = c.padEnd = {1, 1};
      ConvOp op = c.make(random);
      check(cpu::winogradServes(op), c.str(isa) + ": not served");
      run(c, op, isa, one, many);
    }
  }
}

// Images read in whole rows (kernels one column wide): narrow and wide, strided over rows, padded above and below.
void columnKernels(const char* isa, int count, unsigned seed) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(seed);
  const auto range = [&](int64_t a, int64_t b) { return a + static_cast<int64_t>(random() % static_cast<uint64_t>(b - a + 1)); };
  for (int i = 0; i < count; ++i) {
    Case c;
    c.flat = false;
    c.inputs = range(1, 20);
    c.outputs = range(1, 20);
    c.kernel[0] = range(1, 5);
    c.stride[0] = range(1, 3);
    c.dilation[0] = range(1, 2);
    c.padBegin[0] = range(0, 7);
    c.padEnd[0] = range(0, 7);
    c.size = {range(9, 200), range(1, 12)};
    c.dtype = static_cast<DType>(random() % 3);
    ConvOp op = c.make(random);
    addOptions(op, random);
    run(c, op, isa, one, many);
  }
}

// Output rows of whole vectors or a little less, which are summed without what lies between them: over several chunks of rows and
// of columns, alone and transposed.
void wholeVectorRows(const char* isa) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(9);
  const int64_t lanes = cpu::get_convKernels().lanes;
  int64_t apart = 0;
  const auto check2d = [&](Case c) {
    ConvOp op = c.make(random);
    addOptions(op, random);
    const cpu::ConvPlan plan(op, cpu::get_convKernels(), 1);
    apart += plan.sumPitch != plan.pitch;
    run(c, op, isa, one, many);
  };
  for (const int64_t vectors : {1, 2, 3, 5, 90}) {
    for (const int64_t less : {0, 1}) {
      for (const int64_t kernel : {3, 4}) {
        Case c;
        c.flat = false, c.inputs = 7, c.outputs = 13, c.kernel = {3, kernel}, c.groups = 1 + vectors % 2;
        c.size = {19, vectors * lanes - less + kernel - 1};
        check2d(c);
        c.stride[0] = 2, c.dilation[0] = 2;
        check2d(c);
      }
    }
  }
  Case c;
  c.flat = false, c.transposed = true, c.inputs = 5, c.outputs = 6, c.kernel = {4, 6}, c.stride = {2, 2};
  c.size = {17, 2 * lanes};
  c.padBegin = c.padEnd = {1, 2};
  check2d(c);
  check(apart > 10, std::string(isa) + ": few of the shapes made for it are summed row by row");
}

// Long reductions, also of values that do not cancel and of equal values.
void longReductions(const char* isa) {
  cpu::Pool one(1), many(3);
  std::mt19937 random(5);
  struct {
    int64_t inputs, kernel;
  } const shapes[] = {{512, 3}, {1024, 7}, {4096, 3}, {65536, 1}, {1, 65536}, {300, 41}};
  for (const auto& s : shapes) {
    for (const float mean : {0.0f, 0.5f}) {
      for (const bool direct : {false, true}) {
        Case c;
        c.inputs = s.inputs, c.outputs = 5, c.kernel[1] = s.kernel, c.size[1] = 19 + s.kernel - 1;
        c.mean = mean;
        ConvOp op = c.make(random);
        op.direct = direct;
        if (mean != 0 && direct) {
          std::fill_n(cpu::dataOf<float>(op.x), op.x.size(), 0.1f);
          std::fill_n(cpu::dataOf<float>(op.weight), op.weight.size(), 0.3f);
        }
        run(c, op, isa, one, many);
      }
    }
  }
}

// A convolution of part of an input gives the same bits as that part of the whole, wherever it is cut.
void directIsLocal(const char* isa) {
  cpu::Pool one(1), many(2);
  std::mt19937 random(11);
  for (const bool transposed : {false, true}) {
    Case c;
    c.transposed = transposed, c.inputs = 24, c.outputs = 20, c.kernel[1] = transposed ? 8 : 7, c.size[1] = 1700,
    c.stride[1] = transposed ? 4 : 1;
    c.dilation[1] = transposed ? 1 : 3;
    ConvOp whole = c.make(random);
    whole.direct = true;
    cpu::conv(whole, one);
    for (const Pair cut : {Pair{0, 61}, Pair{5, 100}, Pair{333, 1000}, Pair{1600, 100}}) {
      ConvOp part = whole;
      Case p = c;
      p.size[1] = cut[1];
      part.x = empty({1, 24, cut[1]}, DType::kFloat32);
      for (int64_t i = 0; i < 24; ++i)
        std::copy_n(cpu::dataOf<float>(whole.x) + i * 1700 + cut[0], cut[1], cpu::dataOf<float>(part.x) + i * cut[1]);
      part.y = empty({1, 20, p.outSize(1)}, DType::kFloat32);
      cpu::conv(part, many);
      // Transposed outputs that also see inputs beyond the cut are left out.
      const int64_t skip = transposed ? 8 : 0, at = transposed ? cut[0] * 4 : cut[0];
      bool same = true;
      for (int64_t o = 0; o < 20; ++o) {
        for (int64_t t = skip; t < p.outSize(1) - skip; ++t) {
          same = same && cpu::dataOf<float>(part.y)[o * p.outSize(1) + t] == cpu::dataOf<float>(whole.y)[o * c.outSize(1) + at + t];
        }
      }
      check(same, c.str(isa) + ": direct results depend on the cut at " + std::to_string(cut[0]));
    }
  }
}

// Shapes whose working memory no machine has fail at once; a stride that one input step never takes does not matter.
void extremes(const char* isa) {
  cpu::Pool one(1), many(2);
  std::mt19937 random(2);
  Case c;
  c.size[1] = 3, c.kernel[1] = 2;
  const int64_t huge = int64_t{1} << 39;
  c.dilation[1] = huge, c.padBegin[1] = c.padEnd[1] = huge / 2;
  const auto refused = [&](const ConvOp& op) {
    try {
      cpu::conv(op, one);
    } catch (const core::Error& e) {
      return e.code() == core::Code::kMemory;
    }
    return false;
  };
  check(refused(c.make(random)), std::string(isa) + ": extreme dilation is not refused");
  c.transposed = true;
  c.size[1] = 2, c.dilation[1] = 1, c.stride[1] = huge;
  check(refused(c.make(random)), std::string(isa) + ": extreme stride is not refused");
  c.size[1] = 1, c.padBegin[1] = c.padEnd[1] = 0;
  run(c, c.make(random), isa, one, many);
}

// A plan costs what the kernel costs, however many phases a stride has: those that see no input are not listed.
void longStrides(const char* isa) {
  cpu::Pool one(1), many(2);
  std::mt19937 random(3);
  Case c;
  c.flat = false, c.transposed = true, c.inputs = 3, c.outputs = 5;
  c.size = {3, 4}, c.kernel = {2, 3};
  const struct {
    Pair stride, dilation, padBegin, padEnd;
  } shapes[] = {
      {{70, 5}, {1, 1}, {0, 0}, {0, 0}},
      {{9, 40}, {4, 17}, {3, 60}, {12, 9}},
      {{64, 64}, {64, 32}, {0, 0}, {60, 60}},
      {{2048, 2}, {1, 2}, {2000, 1}, {2000, 0}},
      // Rows 2⁴⁰ apart, of which padding leaves those about the middle one.
      {{int64_t{1} << 40, 3}, {1, 1}, {(int64_t{1} << 40) - 3, 0}, {(int64_t{1} << 40) - 2, 0}},
  };
  for (const auto& s : shapes) {
    c.stride = s.stride, c.dilation = s.dilation, c.padBegin = s.padBegin, c.padEnd = s.padEnd;
    ConvOp op = c.make(random);
    addOptions(op, random);
    run(c, op, isa, one, many);
    size_t elements = 0;
    const cpu::ConvPlan plan(op, cpu::get_convKernels(), 7);
    for (const cpu::ConvClass& k : plan.classes) elements += k.phases.size() * k.taps.size();
    check(plan.phases <= 6 && elements == 6, c.str(isa) + ": " + std::to_string(plan.phases) + " phases for 6 elements of the kernel");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 250;
  const unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1;
  onEveryIsa([&](cpu::simd::Isa isa) {
    randomCases(name(isa), count, seed + static_cast<unsigned>(isa));
    fastCases(name(isa), count / 8, seed);
    fastImages(name(isa), count / 8, seed);
    columnKernels(name(isa), count / 8, seed);
    wholeVectorRows(name(isa));
    longReductions(name(isa));
    directIsLocal(name(isa));
    extremes(name(isa));
    longStrides(name(isa));
  });
  return report("native-conv");
}
