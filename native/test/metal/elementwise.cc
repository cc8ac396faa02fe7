#include <cmath>

#include "harness.h"

namespace metaltest {

namespace {

using core::Act;

double activation(Act kind, double x, double param, double alpha) {
  switch (kind) {
    case Act::kLeakyRelu:
      return x < 0 ? x * param : x;
    case Act::kRelu:
      return x < 0 ? 0 : x;
    case Act::kElu:
      return x < 0 ? param * std::expm1(x) : x;
    case Act::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Act::kSilu:
      return x / (1 + std::exp(-x));
    case Act::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Act::kTanh:
      return std::tanh(x);
    case Act::kSnake:
      return x + std::pow(std::sin(alpha * x), 2) / (alpha + 1e-9);
    case Act::kExp:
      return std::exp(x);
    case Act::kSin:
      return std::sin(x);
    case Act::kPow:
      return std::pow(x, param);
    default:
      return x;
  }
}

struct Function {
  Act kind;
  float param;
  const char* name;
};
constexpr Function kFunctions[] = {{Act::kNone, 0, "identity"},   {Act::kLeakyRelu, 0.1f, "leakyRelu"},
                                   {Act::kRelu, 0, "relu"},       {Act::kElu, 1.25f, "elu"},
                                   {Act::kGelu, 0, "gelu"},       {Act::kSilu, 0, "silu"},
                                   {Act::kSigmoid, 0, "sigmoid"}, {Act::kTanh, 0, "tanh"},
                                   {Act::kExp, 0, "exp"},         {Act::kSin, 0, "sin"},
                                   {Act::kPow, 2, "pow 2"},       {Act::kPow, 3, "pow 3"},
                                   {Act::kPow, -1, "pow -1"},     {Act::kPow, 0.5f, "pow 0.5"},
                                   {Act::kPow, 0, "pow 0"}};

void activations(Session& session) {
  std::vector<float> x = noise(1000, 1);
  const float special[] = {0.0f, 1e-3f, -1e-3f, 0.5f, -0.5f, 9, -9, 20, -12, 40, -40, 80, -80, INFINITY, NAN};
  x.insert(x.end(), std::begin(special), std::end(special));
  for (const DType dtype : kDTypes) {
    const std::vector<float> values = rounded(x, dtype);
    const auto count = static_cast<int64_t>(values.size());
    const Tensor input = session.upload(values, {count}, dtype);
    for (const Function& f : kFunctions) {
      core::ActivationOp op;
      op.x = input;
      op.activation = {f.kind, f.param, false, {}};
      std::vector<double> want(values.size());
      for (size_t i = 0; i < want.size(); ++i) want[i] = activation(f.kind, values[i], f.param, 0);
      compare(std::string(f.name) + " " + core::name(dtype), session.read(session.run(op)), want, dtype,
              dtype == DType::kFloat32 ? 4 : 0.51);
    }
  }
  for (const int64_t count : {1, 2, 3, 4, 5, 7, 8, 255, 1025}) {
    const std::vector<float> values = noise(count, 2);
    core::ActivationOp op;
    op.x = session.upload(values, {count});
    op.activation = {Act::kRelu, 0, false, {}};
    std::vector<double> want;
    for (const float v : values) want.push_back(v < 0 ? 0 : v);
    everyPath([&](const std::string& path) {
      compare("relu of " + std::to_string(count) + path, session.read(session.run(op)), want, DType::kFloat32, 0);
    });
  }
}

void snakes(Session& session) {
  const Shape shapes[] = {{2, 5, 8}, {1, 3, 7}, {4}, {6, 4}, {2, 3, 2, 5}};
  for (const DType dtype : kDTypes) {
    for (const Shape& shape : shapes) {
      const int axis = shape.rank() > 2 ? 1 : 0;
      const int64_t channels = shape[axis], inner = shape.strides()[static_cast<size_t>(axis)];
      for (const bool logScale : {false, true}) {
        for (const DType alphaType : {dtype, DType::kFloat32}) {
          std::vector<float> alpha = rounded(noise(channels, 3), alphaType);
          for (float& a : alpha) a = logScale ? a : rounded(std::fabs(a) + 0.1f, alphaType);
          const std::vector<float> x = rounded(noise(shape.size(), 4), dtype);
          core::ActivationOp op;
          op.x = session.upload(x, shape, dtype);
          op.activation = {Act::kSnake, 0, logScale, session.upload(alpha, {channels}, alphaType)};
          std::vector<double> want(x.size());
          for (size_t i = 0; i < x.size(); ++i) {
            const double a = alpha[i / static_cast<size_t>(inner) % static_cast<size_t>(channels)];
            want[i] = activation(Act::kSnake, x[i], 0, logScale ? std::exp(a) : a);
          }
          everyPath([&](const std::string& path) {
            compare("snake " + shape.str() + " " + core::name(dtype) + path, session.read(session.run(op)), want, dtype,
                    dtype == DType::kFloat32 ? 8 : 0.51, 4e-7);
          });
        }
      }
    }
  }
}

double arithmetic(core::Arithmetic kind, double a, double b) {
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

// Index into `operand` of row-major element `i` of y.
size_t broadcastIndex(const Shape& operand, const Shape& y, int64_t i) {
  const auto yStrides = y.strides(), strides = operand.strides();
  int64_t index = 0;
  for (int axis = 0; axis < y.rank(); ++axis) {
    const int own = axis - (y.rank() - operand.rank());
    if (own >= 0 && operand[own] != 1) index += i / yStrides[static_cast<size_t>(axis)] % y[axis] * strides[static_cast<size_t>(own)];
  }
  return static_cast<size_t>(index);
}

void arithmetics(Session& session) {
  const std::pair<Shape, Shape> pairs[] = {{{37}, {37}},
                                           {{2, 3, 5}, {2, 3, 5}},
                                           {{2, 3, 5}, {5}},
                                           {{2, 3, 5}, {3, 1}},
                                           {{1, 3, 1}, {2, 1, 5}},
                                           {{7}, {1}},
                                           {{1}, {4, 3}},
                                           {{}, {3}},
                                           {{4, 1, 3, 1, 2}, {1, 5, 1, 2, 2}},
                                           {{2, 1, 2, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 2, 1, 2}},
                                           {{64, 1}, {1, 33}}};
  for (const DType dtype : kDTypes) {
    for (const auto& [aShape, bShape] : pairs) {
      const std::vector<float> a = rounded(noise(aShape.size(), 5), dtype), b = rounded(noise(bShape.size(), 6), dtype);
      for (const auto kind : {core::Arithmetic::kAdd, core::Arithmetic::kSub, core::Arithmetic::kMul, core::Arithmetic::kDiv}) {
        core::ArithmeticOp op;
        op.a = session.upload(a, aShape, dtype);
        op.b = session.upload(b, bShape, dtype);
        op.kind = kind;
        const auto once = [&](const std::string& path) {
          const Tensor y = session.run(op);
          std::vector<double> want;
          for (int64_t i = 0; i < y.size(); ++i) {
            want.push_back(arithmetic(kind, a[broadcastIndex(aShape, y.shape, i)], b[broadcastIndex(bShape, y.shape, i)]));
          }
          compare("arithmetic " + std::to_string(static_cast<int>(kind)) + " " + aShape.str() + " " + bShape.str() + path, session.read(y),
                  want, dtype, 0.501);
        };
        if (kind == core::Arithmetic::kSub) {
          everyPath(once);
        } else {
          once("");
        }
      }
    }
    const std::vector<float> a = rounded(noise(50, 7), dtype);
    for (const bool first : {false, true}) {
      core::ArithmeticOp op;
      op.a = session.upload(a, {50}, dtype);
      op.kind = core::Arithmetic::kDiv;
      op.scalar = 1.7f;
      op.scalarFirst = first;
      std::vector<double> want;
      for (const float v : a) want.push_back(first ? static_cast<double>(1.7f) / v : v / static_cast<double>(1.7f));
      compare("division with a number", session.read(session.run(op)), want, dtype, 0.501);
    }
  }
}

void casts(Session& session) {
  std::vector<float> x = noise(501, 8);
  const float special[] = {0.0f,
                           -0.0f,
                           65504,
                           65519.9f,
                           65520,
                           1e30f,
                           3.4e38f,
                           -3.4e38f,
                           INFINITY,
                           -INFINITY,
                           6.1e-5f,
                           1e-7f,
                           2.9e-8f,
                           1e-38f,
                           1.00390625f,
                           1.01171875f,
                           1.0009765625f + 0.00048828125f,
                           2049,
                           2051};
  x.insert(x.end(), std::begin(special), std::end(special));
  for (const DType from : kDTypes) {
    const std::vector<float> values = rounded(x, from);
    for (const DType to : kDTypes) {
      // All values, and numbers of them that four do not divide.
      for (const size_t count : {values.size(), size_t{1}, size_t{2}, size_t{7}}) {
        const std::vector<float> some(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
        core::CastOp op{session.upload(some, {static_cast<int64_t>(count)}, from), {}};
        core::prepare(op, to);
        session.queue().submit(op);
        same(std::string("cast ") + core::name(from) + " to " + core::name(to) + " of " + std::to_string(count), session.read(op.y),
             rounded(some, to));
      }
      check(std::isnan(session.read([&] {
              core::CastOp nan{session.upload({NAN}, {1}, from), {}};
              core::prepare(nan, to);
              session.queue().submit(nan);
              return nan.y;
            }())[0]),
            "cast keeps NaN");
    }
  }
}

void fills(Session& session) {
  for (const DType dtype : kDTypes) {
    for (const int64_t count : {1, 3, 4, 129}) {
      everyPath([&](const std::string& path) {
        core::FillOp op{session.empty({count}, dtype), 0.3333333f};
        session.queue().submit(op);
        same("fill" + path, session.read(op.y), std::vector<float>(static_cast<size_t>(count), rounded(0.3333333f, dtype)));
      });
    }
  }
}

// More channels than 16 bits count, which other runtimes refuse.
void manyChannels(Session& session) {
  constexpr int64_t channels = 66000;
  const std::vector<float> x = noise(2 * channels, 40), alpha(channels, 0.5f), bias = noise(channels, 41);
  core::ActivationOp snake;
  snake.x = session.upload(x, {1, channels, 2});
  snake.activation = {Act::kSnake, 0, false, session.upload(alpha, {channels})};
  core::ArithmeticOp add;
  add.a = snake.x;
  add.b = session.upload(bias, {channels, 1});
  std::vector<double> snaked, added;
  for (size_t i = 0; i < x.size(); ++i) {
    snaked.push_back(activation(Act::kSnake, x[i], 0, 0.5));
    added.push_back(static_cast<double>(x[i]) + bias[i / 2]);
  }
  compare("snake of 66000 channels", session.read(session.run(snake)), snaked, DType::kFloat32, 8, 4e-7);
  compare("bias of 66000 channels", session.read(session.run(add)), added, DType::kFloat32, 0.501);
}

}  // namespace

void elementwise() {
  Session session;
  activations(session);
  snakes(session);
  arithmetics(session);
  manyChannels(session);
  casts(session);
  fills(session);
}

}  // namespace metaltest
