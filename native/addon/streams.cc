#include "addon/arguments.h"
#include "addon/geometry.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// Numbers of a program, as lib/native.ts documents them: a header, then the steps.
enum Header : size_t { kSlots, kKept, kHeaderNumbers };
enum Number : size_t {
  kKind,
  kSlot,
  kChannels,
  kFresh,
  kHead,
  kHeadAt,
  kKeep,
  kKeepAt,
  kReads,  // slot, start and steps of x, residual and running
  kGeometry = kReads + 9,
  kActivations = kGeometry + kGeometrySlots,  // kind, parameter and log-scale flag of pre and post
  kStepNumbers = kActivations + 6
};
constexpr uint32_t kStepTensors = 5;  // weight, bias, scale, alpha of pre and of post

int64_t slotFrom(double number) {
  return number < 0 ? -1 : sizeFrom(number);
}

core::Activation activationFrom(const double* numbers, core::Tensor alpha) {
  const int64_t kind = sizeFrom(numbers[0]);
  if (kind > static_cast<int64_t>(core::Act::kPow)) throw core::Error(core::Code::kArgument, "unknown activation code");
  return {static_cast<core::Act>(kind), static_cast<float>(numbers[1]), numbers[2] != 0, std::move(alpha)};
}

core::StreamStep stepFrom(const double* numbers) {
  core::StreamStep step;
  const int64_t kind = sizeFrom(numbers[kKind]);
  if (kind > static_cast<int64_t>(core::StreamStep::Kind::kConv)) throw core::Error(core::Code::kArgument, "unknown step of a stream");
  step.kind = static_cast<core::StreamStep::Kind>(kind);
  step.slot = slotFrom(numbers[kSlot]);
  step.channels = sizeFrom(numbers[kChannels]);
  step.fresh = sizeFrom(numbers[kFresh]);
  step.head = sizeFrom(numbers[kHead]);
  step.headAt = sizeFrom(numbers[kHeadAt]);
  step.keep = sizeFrom(numbers[kKeep]);
  step.keepAt = sizeFrom(numbers[kKeepAt]);
  const double* reads = numbers + kReads;
  for (core::StreamStep::Read* read : {&step.x, &step.residual, &step.running}) {
    *read = {slotFrom(reads[0]), sizeFrom(reads[1]), sizeFrom(reads[2])};
    reads += 3;
  }
  return step;
}

// stream(x, before, numbers, tensors): [y, after], null where there is none
Napi::Value stream(const Napi::CallbackInfo& info) {
  core::StreamOp op;
  op.x = tensorOrAbsent(info[0]);
  op.before = tensorOrAbsent(info[1]);
  const std::shared_ptr<EnvQueue> queue = handleOf(info[op.x ? 0 : 1]).queue;
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array || !info[3].IsArray()) {
    throw core::Error(core::Code::kArgument, "a stream takes a Float64Array and an array of tensors");
  }
  const Napi::Float64Array program = info[2].As<Napi::Float64Array>();
  const Napi::Array tensors = info[3].As<Napi::Array>();
  const size_t length = program.ElementLength();
  if (length < kHeaderNumbers || (length - kHeaderNumbers) % kStepNumbers != 0) {
    throw core::Error(core::Code::kArgument, "the numbers of a stream are not whole steps");
  }
  const double* numbers = program.Data();
  op.slots = sizeFrom(numbers[kSlots]);
  op.kept = sizeFrom(numbers[kKept]);
  uint32_t next = 0;
  for (const double* at = numbers + kHeaderNumbers; at < numbers + length; at += kStepNumbers) {
    core::StreamStep step = stepFrom(at);
    if (step.kind == core::StreamStep::Kind::kConv) {
      readGeometry(at + kGeometry, step.conv);
      step.conv.weight = handleOf(tensors[next]).tensor;
      step.conv.bias = tensorOrAbsent(tensors[next + 1]);
      step.conv.scale = tensorOrAbsent(tensors[next + 2]);
      step.conv.pre = activationFrom(at + kActivations, tensorOrAbsent(tensors[next + 3]));
      step.conv.post = activationFrom(at + kActivations + 3, tensorOrAbsent(tensors[next + 4]));
      next += kStepTensors;
    }
    op.steps.push_back(std::move(step));
  }
  core::prepare(op);
  const core::Tensor y = op.y, after = op.after;
  live(*queue).submit(std::move(op));
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, y ? makeHandle(info.Env(), y, queue) : info.Env().Null());
  result.Set(1u, after ? makeHandle(info.Env(), after, queue) : info.Env().Null());
  return result;
}

}  // namespace

void registerStreams(Napi::Object exports) {
  expose<stream>(exports, "stream");
}

}  // namespace weightnorm::addon
