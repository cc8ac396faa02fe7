#pragma once

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

namespace weightnorm::core {

// Codes are the public `WeightNormError.code` strings; name() spells them.
enum class Code {
  kArgument,
  kShape,
  kDType,
  kDevice,
  kDisposed,
  kMemory,
  kDeviceUnavailable,
  kDeviceLost,
  kExecution,
  kState,
};

const char* name(Code code);

// The one exception type that crosses native layers. Cheap to copy; safe to share between threads.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

// A failure of queued work, shared by every storage that depends on it.
// `observed` is set once somebody was told, so synchronize() reports only what nobody saw.
struct Failure {
  explicit Failure(Error e) : error(std::move(e)) {}
  Error error;
  std::atomic<bool> observed{false};
};
using FailurePtr = std::shared_ptr<Failure>;

// printf-style message building; keeps call sites to one line.
std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

}  // namespace weightnorm::core
