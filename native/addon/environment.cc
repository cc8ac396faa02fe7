#include "addon/environment.h"

#include "addon/devices.h"
#include "addon/geometry.h"
#include "core/environment.h"

namespace weightnorm::addon {

namespace {

enum Slot : size_t { kRank, kSizes, kDtype = kSizes + core::kMaxRank, kFailures, kDescriptionSlots };

uint64_t queueLimitFor(core::Device& device) {
  return core::environmentWhole("WEIGHTNORM_QUEUE_LIMIT", "bytes", 1, UINT64_MAX).value_or(device.budget().figures().limit / 2);
}

}  // namespace

Environment::Environment(Napi::Env env)
    : completions_(Completions::create(env)),
      description_(Napi::Persistent(Napi::Float64Array::New(env, kDescriptionSlots))),
      convNumbers_(Napi::Persistent(Napi::Float64Array::New(env, kConvSlots))),
      slots_(description_.Value().Data()),
      convSlots_(convNumbers_.Value().Data()) {
  // Node removes hooks in reverse order, so the queues stop before the completions' thread-safe function goes.
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle handle, void* self) {
        static_cast<Environment*>(self)->shutDown();
        napi_remove_async_cleanup_hook(handle);
      },
      this, nullptr);
}

Environment& Environment::of(Napi::Env env) {
  return *env.GetInstanceData<Environment>();
}

void Environment::shutDown() {
  completions_->close();
  for (auto& [type, queue] : queues_) queue->queue.reset();
}

std::shared_ptr<EnvQueue> Environment::queue(const std::string& type) {
  const auto found = queues_.find(type);
  if (found != queues_.end()) return found->second;
  std::shared_ptr<core::Device> device = openDevice(type);
  auto opened = std::make_shared<EnvQueue>();
  opened->type = type;
  opened->handles = handles_;
  opened->queue = std::make_unique<core::Queue>(device, queueLimitFor(*device));
  queues_[type] = opened;
  return opened;
}

void Environment::describe(const core::Tensor& tensor) {
  slots_[kRank] = tensor.shape.rank();
  for (int i = 0; i < tensor.shape.rank(); ++i) slots_[kSizes + static_cast<size_t>(i)] = static_cast<double>(tensor.shape[i]);
  slots_[kDtype] = static_cast<double>(tensor.dtype);
  slots_[kFailures] = static_cast<double>(core::Storage::failures());
}

void Environment::setErrorClass(Napi::Function constructor) {
  errorClass_ = Napi::Persistent(constructor);
}

Napi::Value Environment::makeError(Napi::Env env, const core::Error& error) {
  slots_[kFailures] = static_cast<double>(core::Storage::failures());
  const Napi::String code = Napi::String::New(env, core::name(error.code()));
  const Napi::String message = Napi::String::New(env, error.what());
  if (!errorClass_.IsEmpty()) return errorClass_.New({code, message});
  Napi::Object plain = Napi::Error::New(env, error.what()).Value();
  plain.Set("code", code);
  return plain;
}

}  // namespace weightnorm::addon
