#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "core/spin.h"

namespace weightnorm::cpu {

// A fixed set of threads for parallel loops. Idle workers poll for a while, then sleep; the caller works too. Any number of
// threads may call parallelFor at once: workers go to the loop that has the fewest of them. Beyond kSlots loops at once,
// a caller works alone.
class Pool {
 public:
  // Shorter, and two threads whose parts differ by what a wake-up takes wake one another for every loop.
  static constexpr int kSpinMicroseconds = core::kSpinMicroseconds;
  static constexpr int kSlots = 64;

  // `threads` >= 1 counts the caller; the other threads start with the first loop that needs them.
  explicit Pool(int threads, int spinMicroseconds = kSpinMicroseconds);
  // Waits for the workers; no loop may be running.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // The process's pool: WEIGHTNORM_NUM_THREADS threads, else one a performance core. Never destroyed, so it is safe at
  // exit. Throws ERR_ARGUMENT where the variable is not a whole number from 1 to 1024.
  static Pool& shared();

  int threads() const { return threads_; }

  using Body = std::function<void(int64_t index, int worker)>;
  // Runs body once for each index in [0, count), in any order, on any thread; `worker` < threads() is unique among the
  // threads inside this call. Returns when all are done; rethrows the first exception, after which no index is begun.
  void parallelFor(int64_t count, const Body& body);

 private:
  struct Slot;
  static void* enter(void* pool);
  void start();
  void work(int worker);
  Slot* claim();
  Slot* join(int worker);
  void wake(int wanted, const Slot& own);
  void take(Slot& slot, int worker, uint32_t generation);

  const int threads_;
  const int spin_;
  const std::unique_ptr<Slot[]> slots_;
  // Each of these on its own cache line: idle workers read the second all the time.
  alignas(64) std::atomic<uint64_t> taken_{0};       // bit i: slots_[i] belongs to a caller
  alignas(64) std::atomic<uint32_t> generation_{0};  // counts the loops ever posted; idle workers wait on it
  alignas(64) std::atomic<int> sleeping_{0};         // workers that sleep, or are about to, or have just woken
  std::atomic<int> running_{0};                      // worker threads that exist; changed under the mutex
  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable ended_;  // a worker ended
  int numbered_ = 0;               // worker threads that took their number
};

// Runs body(begin, end) over pieces of at most `grain` that cover [0, count); small counts stay on the caller.
template <class Range>
void parallelRanges(Pool& pool, int64_t count, int64_t grain, const Range& body) {
  const int64_t pieces = (count + grain - 1) / grain;
  pool.parallelFor(pieces, [&](int64_t piece, int) {
    const int64_t begin = piece * grain;
    body(begin, begin + grain < count ? begin + grain : count);
  });
}

}  // namespace weightnorm::cpu
