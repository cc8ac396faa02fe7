#include "addon/arguments.h"
#include "addon/geometry.h"
#include "addon/operations.h"
#include "core/stream_template.h"

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
  kStepNumbers = kActivations + 2 * kActivationSlots
};
constexpr uint32_t kStepTensors = 5;  // weight, bias, scale, alpha of pre and of post

int64_t slotFrom(double number) {
  return number < 0 ? -1 : sizeFrom(number);
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

const napi_type_tag kTemplateTag = {0x3b9d2c77f0a14e58ULL, 0x9c62e1d84b7f3a05ULL};

Napi::Value makeTemplate(Napi::Env env, const core::StreamOp& op) {
  auto made = std::make_unique<core::StreamTemplate>(op);
  const int64_t bytes = static_cast<int64_t>(made->bytes());
  const auto external = Napi::External<core::StreamTemplate>::New(env, made.get(), [](Napi::Env finalizing, core::StreamTemplate* data) {
    Napi::MemoryManagement::AdjustExternalMemory(finalizing, -static_cast<int64_t>(data->bytes()));
    delete data;
  });
  made.release();
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
  napi_type_tag_object(env, external, &kTemplateTag);
  return external;
}

const core::StreamTemplate& templateOf(Napi::Value value) {
  bool tagged = false;
  if (!value.IsExternal() || napi_check_object_type_tag(value.Env(), value, &kTemplateTag, &tagged) != napi_ok || !tagged) {
    throw core::Error(core::Code::kArgument, "not the template of a stream");
  }
  return *value.As<Napi::External<core::StreamTemplate>>().Data();
}

// [y, after, template], null where there is none
Napi::Value submitted(Napi::Env env, const std::shared_ptr<EnvQueue>& queue, core::StreamOp op, Napi::Value made) {
  const core::Tensor y = op.y, after = op.after;
  live(*queue).submit(std::move(op));
  Napi::Array result = Napi::Array::New(env, 3);
  result.Set(0u, y ? makeHandle(env, y, queue) : env.Null());
  result.Set(1u, after ? makeHandle(env, after, queue) : env.Null());
  result.Set(2u, made);
  return result;
}

// streamAgain(x, before, template): as stream, or null where the template does not serve
Napi::Value streamAgain(const Napi::CallbackInfo& info) {
  const core::Tensor x = tensorOrAbsent(info[0]), before = tensorOrAbsent(info[1]);
  const std::shared_ptr<EnvQueue> queue = handleOf(info[x ? 0 : 1]).queue;
  std::optional<core::StreamOp> op = templateOf(info[2]).make(x, before);
  if (!op) return info.Env().Null();
  return submitted(info.Env(), queue, std::move(*op), info[2]);
}

// stream(x, before, numbers, tensors, keep): [y, after, template], null where there is none
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
  op.steps.reserve((length - kHeaderNumbers) / kStepNumbers);
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
      step.conv.pre = readActivation(at + kActivations, tensorOrAbsent(tensors[next + 3]));
      step.conv.post = readActivation(at + kActivations + kActivationSlots, tensorOrAbsent(tensors[next + 4]));
      next += kStepTensors;
    }
    op.steps.push_back(std::move(step));
  }
  core::prepare(op);
  const Napi::Value made = info[4].ToBoolean() ? makeTemplate(info.Env(), op) : info.Env().Null();
  return submitted(info.Env(), queue, std::move(op), made);
}

}  // namespace

void registerStreams(Napi::Object exports) {
  expose<stream>(exports, "stream");
  expose<streamAgain>(exports, "streamAgain");
}

}  // namespace weightnorm::addon
