#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>

#include "addon/completions.h"
#include "core/queue.h"

namespace weightnorm::addon {

// A device's queue in one environment. `queue` is null once the environment was torn down.
struct EnvQueue {
  std::string type;
  std::unique_ptr<core::Queue> queue;
  int64_t tensors = 0;  // handles neither disposed nor collected
};

// State of one environment (main thread or worker), owned through Napi instance data and by the handles that need it.
// Only its thread touches it.
class Environment {
 public:
  explicit Environment(Napi::Env env);

  static Environment& of(Napi::Env env);

  // Opens the queue of "cpu" or "metal" on first use; throws ERR_DEVICE_UNAVAILABLE.
  std::shared_ptr<EnvQueue> queue(const std::string& type);
  const std::shared_ptr<Completions>& completions() { return completions_; }

  void setErrorClass(Napi::Function constructor);
  // A WeightNormError of the library (a plain Error with a code before setErrorClass was called).
  Napi::Value makeError(Napi::Env env, const core::Error& error);

 private:
  // Stops the queues and waits for the operations that are running.
  void shutDown();

  std::map<std::string, std::shared_ptr<EnvQueue>> queues_;
  std::shared_ptr<Completions> completions_;
  Napi::FunctionReference errorClass_;
};

}  // namespace weightnorm::addon
