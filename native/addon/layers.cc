#include "addon/arguments.h"
#include "addon/geometry.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// Slots of the geometry array, as lib/native.ts documents them.
const double* geometryOf(Napi::Value value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      value.As<Napi::TypedArray>().ElementLength() != kGeometrySlots) {
    throw core::Error(core::Code::kArgument, "geometry must be a Float64Array of 14 numbers");
  }
  return value.As<Napi::Float64Array>().Data();
}

// conv(x, weight, bias, scale, residual, running, geometry, pre, post)
Napi::Value conv(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::ConvOp op;
  op.x = x.tensor;
  op.weight = handleOf(info[1]).tensor;
  op.bias = tensorOrAbsent(info[2]);
  op.scale = tensorOrAbsent(info[3]);
  op.residual = tensorOrAbsent(info[4]);
  op.running = tensorOrAbsent(info[5]);
  readGeometry(geometryOf(info[6]), op);
  op.pre = activationOf(info[7]);
  op.post = activationOf(info[8]);
  core::prepare(op);
  return submit(info.Env(), x.queue, std::move(op), &core::ConvOp::y);
}

// linear(x, weight, bias, scale, post)
Napi::Value linear(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  core::LinearOp op;
  op.x = x.tensor;
  op.weight = handleOf(info[1]).tensor;
  op.bias = tensorOrAbsent(info[2]);
  op.scale = tensorOrAbsent(info[3]);
  op.post = activationOf(info[4]);
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
