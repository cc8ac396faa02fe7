#pragma once

#include <napi.h>

#include <optional>

#include "addon/environment.h"
#include "core/prepare.h"

// Reading JavaScript arguments and making handles. The TypeScript facade passes checked values; these functions still
// refuse anything that could break memory safety. Environment's thread.
namespace weightnorm::addon {

// Leaves the tensor's shape and dtype in the environment's description. The External may be one that was disposed.
Napi::Value makeHandle(Napi::Env env, core::Tensor tensor, std::shared_ptr<EnvQueue> queue);
// For an External that its only holder lets go of; another handle may have it next. Throws ERR_DISPOSED, ERR_ARGUMENT.
void disposeHandle(Napi::Value value);
// Reports a changed size to the garbage collector.
void account(napi_env env, TensorHandle& handle);

TensorHandle& handleOf(Napi::Value value);       // throws ERR_DISPOSED, ERR_ARGUMENT
core::Tensor tensorOrAbsent(Napi::Value value);  // null gives an empty Tensor
std::shared_ptr<EnvQueue> queueOf(Napi::Value value);
Napi::Value makeQueueHandle(Napi::Env env, std::shared_ptr<EnvQueue> queue);
core::Queue& live(EnvQueue& queue);  // throws ERR_STATE once the environment is going

core::Shape shapeOf(Napi::Value value);
core::DType dtypeOf(Napi::Value value);
int64_t integerOf(Napi::Value value);
std::optional<double> epsOf(Napi::Value value);
core::Activation activationOf(Napi::Value value);  // null gives kNone

// Submits a prepared operation and wraps one of its outputs.
template <class Op>
Napi::Value submit(Napi::Env env, const std::shared_ptr<EnvQueue>& queue, Op&& op, core::Tensor Op::* output) {
  core::Tensor result = op.*output;
  live(*queue).submit(std::move(op));
  return makeHandle(env, std::move(result), queue);
}

}  // namespace weightnorm::addon
