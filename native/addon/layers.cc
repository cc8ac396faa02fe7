#include "addon/arguments.h"
#include "addon/geometry.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// Numbers of a convolution, as lib/native.ts documents them: its geometry and its two activations.
constexpr size_t kConvSlots = kGeometrySlots + 2 * kActivationSlots;

const double* convNumbers(Napi::Value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_float64_array ||
      length != kConvSlots) {
    throw core::Error(core::Code::kArgument, core::format("a convolution takes a Float64Array of %zu numbers", kConvSlots));
  }
  return static_cast<const double*>(data);
}

// conv(x, weight, bias, scale, residual, running, preAlpha, postAlpha, numbers)
Napi::Value conv(const Napi::CallbackInfo& info) {
  const TensorHandle& x = handleOf(info[0]);
  const double* const numbers = convNumbers(info[8]);
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
