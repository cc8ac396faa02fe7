#include "addon/arguments.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

int axisOf(Napi::Value value) {
  const int64_t axis = integerOf(value);
  return axis < 0 || axis >= core::kMaxRank ? core::kMaxRank : static_cast<int>(axis);
}

// activation(x, activation)
Napi::Value activation(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::ActivationOp op;
  op.x = x.tensor;
  op.activation = activationOf(info[1]);
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::ActivationOp::y);
}

// arithmetic(kind, a, b)
Napi::Value arithmetic(const Napi::CallbackInfo& info) {
  const int64_t kind = integerOf(info[0]);
  if (kind < 0 || kind > static_cast<int64_t>(core::Arithmetic::kDiv)) throw core::Error(core::Code::kArgument, "unknown arithmetic code");
  core::ArithmeticOp op;
  op.kind = static_cast<core::Arithmetic>(kind);
  op.scalarFirst = info[1].IsNumber();
  const TensorHandle& first = handleOf(info[op.scalarFirst ? 2 : 1]);
  op.a = first.tensor;
  if (op.scalarFirst) {
    op.scalar = info[1].ToNumber().FloatValue();
  } else if (info[2].IsNumber()) {
    op.scalar = info[2].ToNumber().FloatValue();
  } else {
    op.b = handleOf(info[2]).tensor;
  }
  core::prepare(op);
  return submit(info.Env(), first.queue, std::move(op), &core::ArithmeticOp::y);
}

// reduce(x, axes, mean, keepDims)
Napi::Value reduce(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::ReduceOp op;
  op.x = x.tensor;
  op.reduce = static_cast<uint32_t>(integerOf(info[1])) & 255u;
  op.mean = info[2].ToBoolean();
  core::prepare(op, info[3].ToBoolean());
  return submit(info.Env(), x.queue, std::move(op), &core::ReduceOp::y);
}

// transpose(x, permutation)
Napi::Value transpose(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  const Napi::Array order = info[1].As<Napi::Array>();
  core::TransposeOp op;
  op.x = x.tensor;
  for (uint32_t i = 0; i < order.Length() && i < core::kMaxRank; ++i) op.permutation[i] = axisOf(order[i]);
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::TransposeOp::y);
}

// pad(x, left, right, mode)
Napi::Value pad(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::PadOp op;
  op.x = x.tensor;
  op.left = integerOf(info[1]);
  op.right = integerOf(info[2]);
  const int64_t mode = integerOf(info[3]);
  if (mode < 0 || mode > static_cast<int64_t>(core::PadMode::kCircular)) throw core::Error(core::Code::kArgument, "unknown padding mode");
  op.mode = static_cast<core::PadMode>(mode);
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::PadOp::y);
}

// narrow(x, axis, start, length)
Napi::Value narrow(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::NarrowOp op;
  op.x = x.tensor;
  op.axis = axisOf(info[1]);
  op.start = integerOf(info[2]);
  core::prepare(op, integerOf(info[3]));
  return submit(info.Env(), x.queue, std::move(op), &core::NarrowOp::y);
}

// concat(parts, axis)
Napi::Value concat(const Napi::CallbackInfo& info) {
  const Napi::Array parts = info[0].As<Napi::Array>();
  core::ConcatOp op;
  for (uint32_t i = 0; i < parts.Length(); ++i) op.parts.push_back(handleOf(parts[i]).tensor);
  op.axis = axisOf(info[1]);
  core::prepare(op);
  return submit(info.Env(), handleOf(parts[0u]).queue, std::move(op), &core::ConcatOp::y);
}

// interpolate(x, factor)
Napi::Value interpolate(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::InterpolateOp op;
  op.x = x.tensor;
  op.factor = integerOf(info[1]);
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::InterpolateOp::y);
}

// cast(x, dtype)
Napi::Value cast(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::CastOp op;
  op.x = x.tensor;
  core::prepare(op, dtypeOf(info[1]));
  return submit(info.Env(), x.queue, std::move(op), &core::CastOp::y);
}

}  // namespace

void registerElementwise(Napi::Object exports) {
  expose<activation>(exports, "activation");
  expose<arithmetic>(exports, "arithmetic");
  expose<reduce>(exports, "reduce");
  expose<transpose>(exports, "transpose");
  expose<pad>(exports, "pad");
  expose<narrow>(exports, "narrow");
  expose<concat>(exports, "concat");
  expose<interpolate>(exports, "interpolate");
  expose<cast>(exports, "cast");
}

}  // namespace weightnorm::addon
