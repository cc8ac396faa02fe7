#include "addon/arguments.h"
#include "addon/geometry.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// conv(x, weight, bias, scale, residual, running[, preAlpha, postAlpha]), the rest in the environment's convNumbers; more than
// six arguments cost an allocation.
Napi::Value conv(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  const double* const numbers = Environment::of(info.Env()).convSlots();
  core::ConvOp op;
  op.x = x.tensor;
  op.weight = handleOf(info[1]).tensor;
  op.bias = tensorOrAbsent(info[2]);
  op.scale = tensorOrAbsent(info[3]);
  op.residual = tensorOrAbsent(info[4]);
  op.running = tensorOrAbsent(info[5]);
  readGeometry(numbers, op);
  op.pre = readActivation(numbers + kGeometrySlots, tensorOrAbsent(info[6]));
  op.post = readActivation(numbers + kGeometrySlots + kActivationSlots, tensorOrAbsent(info[7]));
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::ConvOp::y);
}

// linear(x, weight, bias, scale, post, direct)
Napi::Value linear(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::LinearOp op;
  op.x = x.tensor;
  op.weight = handleOf(info[1]).tensor;
  op.bias = tensorOrAbsent(info[2]);
  op.scale = tensorOrAbsent(info[3]);
  op.post = activationOf(info[4]);
  op.direct = info[5].ToBoolean();
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::LinearOp::y);
}

// matmul(a, b)
Napi::Value matmul(const Napi::CallbackInfo& info) {
  const TensorHandle& a = handleOf(info[0]);
  core::MatmulOp op;
  op.a = a.tensor;
  op.b = handleOf(info[1]).tensor;
  core::prepare(op);
  return submit(info.Env(), a.queue, std::move(op), &core::MatmulOp::y);
}

}  // namespace

void registerLayers(Napi::Object exports) {
  expose<conv>(exports, "conv");
  expose<linear>(exports, "linear");
  expose<matmul>(exports, "matmul");
}

}  // namespace weightnorm::addon
