#include "addon/completions.h"

#include <cstring>

#include "addon/environment.h"

namespace weightnorm::addon {

struct Completions::Pending {
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::ArrayBuffer> buffer;
  void* destination = nullptr;
  size_t bytes = 0;
  core::FailurePtr failure;
  explicit Pending(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  void conclude(Napi::Env env) {
    if (failure) {
      deferred.Reject(Environment::of(env).makeError(env, failure->error));
    } else if (destination) {
      deferred.Resolve(buffer.Value());
    } else {
      deferred.Resolve(env.Undefined());
    }
    buffer.Reset();
  }
};

std::shared_ptr<Completions> Completions::create(Napi::Env env) {
  auto completions = std::make_shared<Completions>();
  // The function owns a reference to its context, so a late drain never sees freed memory.
  auto* context = new std::shared_ptr<Completions>(completions);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "weightnorm"), 0, 1, context,
      [](napi_env, void*, void* owned) { delete static_cast<std::shared_ptr<Completions>*>(owned); }, context, drain, &completions->wake_);
  if (status != napi_ok) {
    delete context;
    throw core::Error(core::Code::kState, "the environment refuses a thread-safe function; is it shutting down?");
  }
  napi_unref_threadsafe_function(env, completions->wake_);
  return completions;
}

std::shared_ptr<Completions::Pending> Completions::begin(Napi::Env env, Napi::ArrayBuffer destination) {
  auto pending = std::make_shared<Pending>(env);
  if (!destination.IsEmpty()) {
    pending->buffer = Napi::Reference<Napi::ArrayBuffer>::New(destination, 1);
    pending->destination = destination.Data();
    pending->bytes = destination.ByteLength();
  }
  if (pending_++ == 0) napi_ref_threadsafe_function(env, wake_);
  return pending;
}

Napi::Value Completions::promise(const Pending& pending) {
  return pending.deferred.Promise();
}

void Completions::settle(const std::shared_ptr<Pending>& pending, const void* data, core::FailurePtr failure) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  if (failure) {
    pending->failure = std::move(failure);
  } else if (pending->destination) {
    std::memcpy(pending->destination, data, pending->bytes);
  }
  settled_.push_back(pending);
  napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Completions::abandon(const std::shared_ptr<Pending>& pending) {
  const Napi::Env env = pending->deferred.Env();
  pending->buffer.Reset();
  pending->deferred.Resolve(env.Undefined());
  retire(env);
}

void Completions::retire(napi_env env) {
  if (--pending_ == 0) napi_unref_threadsafe_function(env, wake_);
}

void Completions::drain(napi_env rawEnv, napi_value, void* context, void*) {
  if (!rawEnv) return;
  const std::shared_ptr<Completions> self = *static_cast<std::shared_ptr<Completions>*>(context);
  std::vector<std::shared_ptr<Pending>> settled;
  {
    std::lock_guard lock(self->mutex_);
    settled.swap(self->settled_);
  }
  const Napi::Env env(rawEnv);
  const Napi::HandleScope scope(env);
  for (const auto& pending : settled) {
    try {
      pending->conclude(env);
    } catch (const Napi::Error&) {
      // The environment is being terminated and runs no more JavaScript: nobody waits for this promise.
    }
    self->retire(env);
  }
}

void Completions::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace weightnorm::addon
