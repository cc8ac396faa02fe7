#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>

#include "addon/completions.h"
#include "addon/handles.h"
#include "core/queue.h"

namespace weightnorm::addon {

// A device's queue in one environment. `queue` is null once the environment was torn down.
struct EnvQueue {
  std::string type;
  std::unique_ptr<core::Queue> queue;
  int64_t tensors = 0;               // handles neither disposed nor collected
  std::shared_ptr<Handles> handles;  // the environment's, which outlive it
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
  const Handles& handles() const { return *handles_; }

  // The array of numbers that describe() fills: rank, kMaxRank sizes, dtype code, storages that have failed so far. JavaScript
  // reads it instead of asking for the shape and the dtype of each new tensor, which takes as long as the rest of a call.
  Napi::Value description() const { return description_.Value(); }
  void describe(const core::Tensor& tensor);

  // The array in which JavaScript leaves the numbers of a convolution before it calls for one.
  Napi::Value convNumbers() const { return convNumbers_.Value(); }
  const double* convSlots() const { return convSlots_; }

  void setErrorClass(Napi::Function constructor);
  // A WeightNormError of the library (a plain Error with a code before setErrorClass was called). Failures are counted by then.
  Napi::Value makeError(Napi::Env env, const core::Error& error);

 private:
  // Stops the queues and waits for the operations that are running.
  void shutDown();

  std::map<std::string, std::shared_ptr<EnvQueue>> queues_;
  std::shared_ptr<Completions> completions_;
  std::shared_ptr<Handles> handles_ = std::make_shared<Handles>();
  Napi::Reference<Napi::Float64Array> description_, convNumbers_;
  double* const slots_;
  const double* const convSlots_;
  Napi::FunctionReference errorClass_;
};

}  // namespace weightnorm::addon
