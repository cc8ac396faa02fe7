#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/budget.h"
#include "core/stream_op.h"

namespace weightnorm::core {

struct DeviceInfo {
  std::string type;  // "cpu" or "metal"
  std::string name;
  std::string reason;  // on the default device: why not Metal; empty otherwise
  bool simulated = false;
  bool unifiedMemory = true;
  uint64_t memoryBytes = 0;
  std::vector<std::string> features;
};

class Backend;

// One piece of hardware, shared by every environment of the process. All methods on any thread.
class Device : public std::enable_shared_from_this<Device> {
 public:
  explicit Device(uint64_t memoryLimit) : budget_(memoryLimit) {}
  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  // At least `bytes` bytes of unspecified content; throws ERR_MEMORY after trimming the cache did not help.
  virtual std::unique_ptr<Buffer> allocate(uint64_t bytes) = 0;
  // Where the values of a storage can be written before any operation on it is submitted, or null where only its queue knows
  // when (UploadOp). Throws ERR_MEMORY.
  virtual std::byte* hostMemory(Storage&) { return nullptr; }
  virtual uint64_t cachedBytes() const = 0;
  // Gives cached memory back to the system.
  virtual void trim() = 0;
  // The executor of one ordered queue. Called once a queue; used and destroyed on the queue's thread.
  virtual std::unique_ptr<Backend> createBackend() = 0;

  Budget& budget() { return budget_; }

 private:
  Budget budget_;
};

// Executes one queue's operations in order, on the queue's thread. run() may execute or only encode; a failure is
// thrown as Error, or, when found later, given to every storage it reached through Storage::fail.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual void run(const WeightNormOp& op) = 0;
  virtual void run(const WeightNormBackwardOp& op) = 0;
  virtual void run(const NormOp& op) = 0;
  virtual void run(const ScaleOp& op) = 0;
  virtual void run(const ConvOp& op) = 0;
  virtual void run(const LinearOp& op) = 0;
  virtual void run(const MatmulOp& op) = 0;
  virtual void run(const ActivationOp& op) = 0;
  virtual void run(const ArithmeticOp& op) = 0;
  virtual void run(const ReduceOp& op) = 0;
  virtual void run(const TransposeOp& op) = 0;
  virtual void run(const PadOp& op) = 0;
  virtual void run(const NarrowOp& op) = 0;
  virtual void run(const ConcatOp& op) = 0;
  virtual void run(const InterpolateOp& op) = 0;
  virtual void run(const CastOp& op) = 0;
  virtual void run(const FillOp& op) = 0;
  virtual void run(const UploadOp& op) = 0;
  virtual void run(const StreamOp& op) = 0;

  // Called with the bytes once everything they depend on is done, or with the failure. `data` is valid only during
  // the call, which may come from any thread, also before read() returns. Called exactly once.
  using ReadDone = std::function<void(const void* data, FailurePtr failure)>;
  virtual void read(const Tensor& tensor, ReadDone done) = 0;

  // Submits what was encoded so far (end of a turn, before a wait). No-op for an immediate backend.
  virtual void flush() = 0;

  // Called when all earlier work is done, with the first failure found by the hardware nobody was told of, or null.
  using FenceDone = std::function<void(FailurePtr failure)>;
  virtual void fence(FenceDone done) = 0;
};

}  // namespace weightnorm::core
