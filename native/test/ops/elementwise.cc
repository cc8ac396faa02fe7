#include "check.h"
#include "core/prepare.h"
#include "cpu/activation.h"
#include "cpu/arithmetic.h"

// Activations and broadcasting arithmetic against float64, the same bits for any number of threads and position.
namespace testing {

namespace {

void checkActivation(const core::Activation& activation, const Shape& shape, DType dtype, const std::vector<float>& x) {
  const Tensor tx = make(shape, dtype, x);
  const std::vector<float> stored = floats(tx);
  const std::string what = "activation " + std::to_string(static_cast<int>(activation.kind)) + " " + shape.str() + " " + name(dtype);
  std::vector<uint32_t> before;
  Tensor y;
  for (cpu::Pool* pool : pools()) {
    y = empty(shape, dtype);
    cpu::activation({tx, y, activation}, *pool);
    check(before.empty() || before == bits(y), what + ": other bits");
    before = bits(y);
  }
  const int axis = shape.rank() > 2 ? 1 : 0;
  int64_t inner = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const std::vector<double> alpha = activation.alpha ? values(activation.alpha) : std::vector<double>{0};
  const std::vector<float> got = floats(y);
  double worst = 0;
  for (size_t i = 0; i < stored.size(); ++i) {
    const double a = alpha[i / static_cast<size_t>(inner) % alpha.size()];
    const double want = applyActivation(activation, stored[i], a);
    // A rounded product αx moves the sine by its own rounding.
    const double slack = activation.kind == core::Act::kSnake ? 4 * ulp(std::max(std::abs(want), std::abs(a * stored[i]) + 1)) : 0;
    const double apart = ulpsApart(got[i], want, dtype);
    const double excess = std::abs(got[i] - want) <= slack ? 0 : apart;
    worst = std::max(worst, excess);
  }
  check(worst <= 2, what + " is " + std::to_string(worst) + " ulp off");
}

void activations(Random& random) {
  using core::Act;
  const DType dtypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  for (const DType dtype : dtypes) {
    for (const Act kind :
         {Act::kLeakyRelu, Act::kRelu, Act::kElu, Act::kGelu, Act::kSilu, Act::kSigmoid, Act::kTanh, Act::kExp, Act::kSin, Act::kNone}) {
      for (const int64_t length : {1, 15, 16, 17, 1000, 40001}) {
        checkActivation({kind, 0.3f, false, {}}, {length}, dtype, normals(random, length, 3));
      }
    }
    for (const Shape& shape : {Shape{2, 5, 77}, Shape{13}, Shape{6, 33}, Shape{3, 40, 1}, Shape{1, 1, 50000}, Shape{2, 3, 4, 5}}) {
      const int64_t channels = shape[shape.rank() > 2 ? 1 : 0];
      for (const bool logScale : {false, true}) {
        const Tensor alpha = make({channels}, dtype, normals(random, channels));
        checkActivation({Act::kSnake, 0, logScale, alpha}, shape, dtype, normals(random, shape.size(), 2));
      }
    }
    for (const float exponent : {2.0f, 0.5f, -1.0f, 3.0f, 2.5f, 0.0f}) {
      std::vector<float> x = normals(random, 500);
      x[3] = 0, x[4] = -0.0f, x[5] = INFINITY, x[6] = -INFINITY, x[7] = NAN, x[8] = -2;
      checkActivation({Act::kPow, exponent, false, {}}, {500}, dtype, x);
    }
  }
}

// An alpha whose size nobody checked would be read past its end: only snake has one.
void unwantedAlpha(Random& random) {
  core::ConvOp conv;
  conv.x = make({1, 2, 9}, DType::kFloat32, normals(random, 18));
  conv.weight = make({4, 2, 3}, DType::kFloat32, normals(random, 24));
  for (const core::Act kind : {core::Act::kNone, core::Act::kRelu, core::Act::kPow}) {
    for (core::Activation core::ConvOp::* const which : {&core::ConvOp::pre, &core::ConvOp::post}) {
      core::ConvOp op = conv;
      op.*which = {kind, 0, false, make({3}, DType::kFloat32, normals(random, 3))};
      bool refused = false;
      try {
        core::checkConv(op);
      } catch (const core::Error& error) {
        refused = error.code() == core::Code::kArgument;
      }
      check(refused, "activation " + std::to_string(static_cast<int>(kind)) + " takes an alpha");
    }
  }
}

double reference(core::Arithmetic kind, double a, double b) {
  switch (kind) {
    case core::Arithmetic::kAdd:
      return a + b;
    case core::Arithmetic::kSub:
      return a - b;
    case core::Arithmetic::kMul:
      return a * b;
    default:
      return a / b;
  }
}

constexpr core::Arithmetic kKinds[] = {core::Arithmetic::kAdd, core::Arithmetic::kSub, core::Arithmetic::kMul, core::Arithmetic::kDiv};

// The element of `shape` that NumPy's broadcasting puts at index i of `y`.
int64_t broadcastIndex(const Shape& shape, const Shape& y, int64_t i) {
  const auto strides = shape.strides(), yStrides = y.strides();
  int64_t at = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int yAxis = axis + y.rank() - shape.rank();
    const int64_t index = i / yStrides[static_cast<size_t>(yAxis)] % y[yAxis];
    if (shape[axis] != 1) at += index * strides[static_cast<size_t>(axis)];
  }
  return at;
}

void checkArithmetic(Random& random, const Shape& a, const Shape& b, const Shape& y, DType dtype) {
  const Tensor ta = make(a, dtype, normals(random, a.size())), tb = make(b, dtype, normals(random, b.size()));
  const std::vector<float> va = floats(ta), vb = floats(tb);
  for (const core::Arithmetic kind : kKinds) {
    const std::string what = a.str() + " with " + b.str() + " " + name(dtype);
    std::vector<uint32_t> before;
    Tensor out;
    for (cpu::Pool* pool : pools()) {
      out = empty(y, dtype);
      cpu::arithmetic({ta, tb, out, kind}, *pool);
      check(before.empty() || before == bits(out), what + ": other bits");
      before = bits(out);
    }
    const std::vector<float> got = floats(out);
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i);
      const double want =
          reference(kind, va[static_cast<size_t>(broadcastIndex(a, y, at))], vb[static_cast<size_t>(broadcastIndex(b, y, at))]);
      worst = std::max(worst, ulpsApart(got[i], want, dtype));
    }
    check(worst <= 0.51, what + " is " + std::to_string(worst) + " ulp off");
  }
}

void arithmetic(Random& random) {
  const DType dtypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  for (int round = 0; round < 60; ++round) {
    const Shape y = randomShape(random, 4000);
    const auto shrink = [&](bool mayDrop) {
      int64_t dims[core::kMaxRank];
      const int drop = mayDrop ? static_cast<int>(between(random, 0, y.rank())) : 0;
      for (int i = drop; i < y.rank(); ++i) dims[i - drop] = between(random, 0, 2) ? y[i] : 1;
      return Shape(dims, y.rank() - drop);
    };
    Shape a = shrink(false), b = shrink(true);
    // Whatever both shrank comes out as 1.
    int64_t dims[core::kMaxRank];
    for (int i = 0; i < y.rank(); ++i) {
      const int at = i - (y.rank() - b.rank());
      dims[i] = std::max(a[i], at < 0 ? int64_t{1} : b[at]);
    }
    const Shape result(dims, y.rank());
    checkArithmetic(random, a, b, result, dtypes[round % 3]);
    checkArithmetic(random, b, a, result, dtypes[round % 3]);
  }
  checkArithmetic(random, {2, 70000}, {2, 1}, {2, 70000}, DType::kFloat32);
  checkArithmetic(random, {70000}, {70000}, {70000}, DType::kFloat16);
  checkArithmetic(random, {3, 50, 700}, {50, 1}, {3, 50, 700}, DType::kFloat32);
  checkArithmetic(random, {}, {}, {}, DType::kFloat32);

  for (const DType dtype : dtypes) {
    const Tensor x = make({40001}, dtype, normals(random, 40001));
    for (const core::Arithmetic kind : kKinds) {
      for (const bool first : {false, true}) {
        const Tensor y = empty({40001}, dtype);
        cpu::arithmetic({x, {}, y, kind, 0.1f, first}, *pools()[1]);
        double worst = 0;
        const std::vector<float> vx = floats(x), vy = floats(y);
        for (size_t i = 0; i < vx.size(); ++i) {
          const double number = 0.1f;
          const double want = first ? reference(kind, number, vx[i]) : reference(kind, vx[i], number);
          worst = std::max(worst, ulpsApart(vy[i], want, dtype));
        }
        check(worst <= 0.51, std::string("arithmetic with a number, ") + name(dtype) + " " + std::to_string(worst));
      }
    }
  }
}

}  // namespace

void testElementwise() {
  Random random(23);
  activations(random);
  unwantedAlpha(random);
  arithmetic(random);
}

}  // namespace testing
