#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/storage.h"

namespace weightnorm::metal {

// Progress of one queue. Its command buffers are numbered from 1 in commit order and retired in that order.
class Timeline {
 public:
  uint64_t completed() const { return completed_.load(std::memory_order_acquire); }
  void complete(uint64_t serial) { completed_.store(serial, std::memory_order_release); }

 private:
  std::atomic<uint64_t> completed_{0};
};

// What became of one command buffer, and the storages that carry its result, directly or through later work.
// All but `serial` is guarded by the mutex of the Flight it belongs to.
struct Fate {
  enum class State { kPending, kDone, kFailed };
  explicit Fate(uint64_t number) : serial(number) {}
  const uint64_t serial;
  State state = State::kPending;
  core::FailurePtr failure;
  std::vector<std::weak_ptr<core::Storage>> dependants;
};
using FatePtr = std::shared_ptr<Fate>;

}  // namespace weightnorm::metal
