#include "addon/arguments.h"

#include <cmath>

namespace weightnorm::addon {

using core::Code;
using core::Error;

namespace {

const napi_type_tag kQueueTag = {0x71c2b0d46e9f4a85ULL, 0xa40d5be2c9f7316bULL};

bool hasTag(Napi::Value value, const napi_type_tag& tag) {
  bool result = false;
  return napi_check_object_type_tag(value.Env(), value, &tag, &result) == napi_ok && result;
}

// The handle's tensor and its accounting; harmless when repeated.
void dropHandle(napi_env env, TensorHandle& handle) {
  if (!handle.tensor.storage) return;
  handle.tensor.storage.reset();
  handle.queue->tensors--;
  account(env, handle);
}

void forget(napi_env env, TensorHandle* handle) {
  const std::shared_ptr<Handles> handles = handle->queue->handles;
  dropHandle(env, *handle);
  if (handle->external) napi_delete_reference(env, handle->external);
  handles->remove(handle);
}

napi_value makeExternal(Napi::Env env, TensorHandle* handle) {
  napi_value external = nullptr;
  const napi_status status = napi_create_external(
      env, handle, [](napi_env finalizing, void* data, void*) { forget(finalizing, static_cast<TensorHandle*>(data)); }, nullptr,
      &external);
  if (status == napi_ok) return external;
  forget(env, handle);
  NAPI_THROW(Napi::Error::New(env), nullptr);
}

// Null for anything but a handle. The set of handles costs a tenth of the type tags that Node keeps with objects.
TensorHandle* find(Napi::Value value) {
  void* data = nullptr;
  if (napi_get_value_external(value.Env(), value, &data) != napi_ok) return nullptr;
  return Environment::of(value.Env()).handles().find(data);
}

}  // namespace

Napi::Value makeHandle(Napi::Env env, core::Tensor tensor, std::shared_ptr<EnvQueue> queue) {
  Handles& handles = *queue->handles;
  napi_value external = nullptr;
  TensorHandle* handle = handles.takeSpare();
  if (handle) {
    napi_get_reference_value(env, handle->external, &external);
    napi_reference_unref(env, handle->external, nullptr);
    handle->tensor = std::move(tensor);
    handle->queue = std::move(queue);
  } else {
    handle = handles.add({std::move(tensor), std::move(queue)});
  }
  handle->queue->tensors++;
  account(env, *handle);
  Environment::of(env).describe(handle->tensor);
  return Napi::Value(env, external ? external : makeExternal(env, handle));
}

void disposeHandle(Napi::Value value) {
  TensorHandle& handle = handleOf(value);
  const napi_env env = value.Env();
  dropHandle(env, handle);
  // Held from here on, so that it is not collected while it is spare.
  if (handle.queue->handles->full()) return;
  uint32_t holds = 1;
  const napi_status status =
      handle.external ? napi_reference_ref(env, handle.external, &holds) : napi_create_reference(env, value, holds, &handle.external);
  if (status == napi_ok && holds == 1) handle.queue->handles->spare(&handle);
}

void account(napi_env env, TensorHandle& handle) {
  const int64_t bytes = handle.tensor.storage ? static_cast<int64_t>(handle.tensor.storage->bytes()) : 0;
  int64_t total = 0;
  napi_adjust_external_memory(env, bytes - handle.accounted, &total);
  handle.accounted = bytes;
}

TensorHandle& handleOf(Napi::Value value) {
  TensorHandle* const handle = find(value);
  if (!handle) throw Error(Code::kArgument, "not a native tensor");
  if (!handle->tensor.storage) throw Error(Code::kDisposed, "the tensor was disposed");
  return *handle;
}

core::Tensor tensorOrAbsent(Napi::Value value) {
  const napi_valuetype type = value.Type();
  return type == napi_null || type == napi_undefined ? core::Tensor() : handleOf(value).tensor;
}

std::shared_ptr<EnvQueue> queueOf(Napi::Value value) {
  if (!value.IsExternal() || !hasTag(value, kQueueTag)) throw Error(Code::kArgument, "not a native queue");
  return *value.As<Napi::External<std::shared_ptr<EnvQueue>>>().Data();
}

Napi::Value makeQueueHandle(Napi::Env env, std::shared_ptr<EnvQueue> queue) {
  const auto external = Napi::External<std::shared_ptr<EnvQueue>>::New(env, new std::shared_ptr<EnvQueue>(std::move(queue)),
                                                                       [](Napi::Env, std::shared_ptr<EnvQueue>* data) { delete data; });
  napi_type_tag_object(env, external, &kQueueTag);
  return external;
}

core::Queue& live(EnvQueue& queue) {
  if (!queue.queue) throw Error(Code::kState, "the environment is shutting down");
  return *queue.queue;
}

core::Shape shapeOf(Napi::Value value) {
  if (!value.IsArray()) throw Error(Code::kShape, "shape must be an array of integers");
  const Napi::Array array = value.As<Napi::Array>();
  int64_t dims[core::kMaxRank];
  const uint32_t rank = array.Length();
  if (rank > core::kMaxRank) throw Error(Code::kShape, core::format("shape has rank %u; ranks 0 to %d are allowed", rank, core::kMaxRank));
  for (uint32_t i = 0; i < rank; ++i) dims[i] = integerOf(array[i]);
  return core::Shape(dims, static_cast<int>(rank));
}

core::DType dtypeOf(Napi::Value value) {
  const int64_t code = integerOf(value);
  if (code < 0 || code > 2) throw Error(Code::kDType, "unknown dtype code");
  return static_cast<core::DType>(code);
}

int64_t integerOf(Napi::Value value) {
  if (!value.IsNumber()) throw Error(Code::kArgument, "a number is needed");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(std::fabs(number) <= 9007199254740992.0) || number != std::floor(number)) {
    throw Error(Code::kArgument, core::format("%g is not an integer", number));
  }
  return static_cast<int64_t>(number);
}

std::optional<double> epsOf(Napi::Value value) {
  if (!value.IsNumber()) return std::nullopt;
  return value.As<Napi::Number>().DoubleValue();
}

core::Activation activationOf(Napi::Value value) {
  core::Activation activation;
  if (!value.IsObject()) return activation;
  const Napi::Object object = value.As<Napi::Object>();
  const int64_t kind = integerOf(object.Get("kind"));
  if (kind < 0 || kind > static_cast<int64_t>(core::Act::kPow)) throw Error(Code::kArgument, "unknown activation code");
  activation.kind = static_cast<core::Act>(kind);
  activation.param = object.Get("param").ToNumber().FloatValue();
  activation.logScale = object.Get("logScale").ToBoolean();
  activation.alpha = tensorOrAbsent(object.Get("alpha"));
  return activation;
}

}  // namespace weightnorm::addon
