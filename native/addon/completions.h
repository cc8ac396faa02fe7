#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace weightnorm::addon {

// Carries results from any thread to an environment's promises through one thread-safe function, which keeps the
// process alive only while promises are pending. After close() late results are dropped.
class Completions : public std::enable_shared_from_this<Completions> {
 public:
  static std::shared_ptr<Completions> create(Napi::Env env);

  // A pending promise; settle it once from any thread. `destination` is an ArrayBuffer it resolves with, kept alive
  // meanwhile, or empty for a promise of undefined. Environment's thread.
  struct Pending;
  std::shared_ptr<Pending> begin(Napi::Env env, Napi::ArrayBuffer destination);
  static Napi::Value promise(const Pending& pending);

  // Any thread. Copies `bytes` of `data` into the destination, or rejects with the failure.
  void settle(const std::shared_ptr<Pending>& pending, const void* data, core::FailurePtr failure);

  // The promise will never be settled by a callback: forget it. Environment's thread.
  void abandon(const std::shared_ptr<Pending>& pending);

  // No callback touches the environment afterwards. Environment's thread.
  void close();

 private:
  static void drain(napi_env env, napi_value, void* context, void*);
  void retire(napi_env env);

  napi_threadsafe_function wake_ = nullptr;
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::shared_ptr<Pending>> settled_;
  int64_t pending_ = 0;  // environment's thread
};

}  // namespace weightnorm::addon
