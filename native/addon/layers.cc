#include "addon/arguments.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// Slots of the geometry array, as lib/native.ts documents them.
enum Slot : size_t {
  kStride = 0,
  kDilation = 2,
  kPadBegin = 4,
  kPadEnd = 6,
  kOutputPadding = 8,
  kGroups = 10,
  kPadMode = 11,
  kOutScale = 12,
  kFlags = 13,
  kSlots = 14
};
constexpr int64_t kTransposed = 1, kScalePerInput = 2, kDirect = 4;

int64_t whole(double number) {
  if (!(number >= 0 && number <= 9007199254740992.0)) throw core::Error(core::Code::kArgument, core::format("%g is not a size", number));
  return static_cast<int64_t>(number);
}

void readGeometry(Napi::Value value, core::ConvOp& op) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      value.As<Napi::TypedArray>().ElementLength() != kSlots) {
    throw core::Error(core::Code::kArgument, "geometry must be a Float64Array of 14 numbers");
  }
  const double* slots = value.As<Napi::Float64Array>().Data();
  for (size_t d = 0; d < 2; ++d) {
    op.stride[d] = whole(slots[kStride + d]);
    op.dilation[d] = whole(slots[kDilation + d]);
    op.padBegin[d] = whole(slots[kPadBegin + d]);
    op.padEnd[d] = whole(slots[kPadEnd + d]);
    op.outputPadding[d] = whole(slots[kOutputPadding + d]);
  }
  op.groups = whole(slots[kGroups]);
  const int64_t mode = whole(slots[kPadMode]);
  if (mode > static_cast<int64_t>(core::PadMode::kCircular)) throw core::Error(core::Code::kArgument, "unknown padding mode");
  op.padMode = static_cast<core::PadMode>(mode);
  op.outScale = static_cast<float>(slots[kOutScale]);
  const int64_t flags = whole(slots[kFlags]);
  op.transposed = flags & kTransposed;
  op.scalePerInput = flags & kScalePerInput;
  op.direct = flags & kDirect;
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
  readGeometry(info[6], op);
  op.pre = activationOf(info[7]);
  op.post = activationOf(info[8]);
  core::prepare(op);
  return submit(info.Env(), x.queue, op, op.y);
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
  return submit(info.Env(), x.queue, op, op.y);
}

// matmul(a, b)
Napi::Value matmul(const Napi::CallbackInfo& info) {
  const TensorHandle& a = handleOf(info[0]);
  core::MatmulOp op;
  op.a = a.tensor;
  op.b = handleOf(info[1]).tensor;
  core::prepare(op);
  return submit(info.Env(), a.queue, op, op.y);
}

}  // namespace

void registerLayers(Napi::Object exports) {
  expose<conv>(exports, "conv");
  expose<linear>(exports, "linear");
  expose<matmul>(exports, "matmul");
}

}  // namespace weightnorm::addon
