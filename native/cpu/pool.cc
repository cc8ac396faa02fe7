#include "cpu/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>

#include "core/environment.h"
#include "cpu/system.h"

namespace weightnorm::cpu {

namespace {
// Kernels keep their scratch below this; the platforms' defaults go down to 128 KiB.
constexpr size_t kStackBytes = size_t{1} << 20;
constexpr int kMaxThreads = 1024;
}  // namespace

struct Pool::Loop {
  // A contiguous part of the indices. Each worker begins with its own, so that loops over the same data find it in the
  // same core's cache and neighbours stay together; then it helps with the others.
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };

  Loop(const Body& body, int64_t count, int threads) : body(body), shares(static_cast<size_t>(std::min<int64_t>(threads, count))) {
    const int64_t parts = static_cast<int64_t>(shares.size());
    for (int64_t i = 0; i < parts; ++i) {
      shares[static_cast<size_t>(i)].next = count / parts * i + std::min(i, count % parts);
      shares[static_cast<size_t>(i)].end = count / parts * (i + 1) + std::min(i + 1, count % parts);
    }
  }
  void stop() {
    for (Share& share : shares) share.next = share.end;
  }

  const Body& body;
  std::vector<Share> shares;
  std::atomic<bool> drained{false};  // every index was begun
  std::atomic<int> helpers{0};       // workers inside; changed under the pool's mutex
  std::exception_ptr error;          // guarded by the pool's mutex
};

Pool::Pool(int threads, int spinMicroseconds) : threads_(threads), spin_(spinMicroseconds) {}

Pool::~Pool() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  ++generation_;
  generation_.notify_all();
  left_.wait(lock, [this] { return running_ == 0; });
}

Pool& Pool::shared() {
  static Pool* const pool =
      new Pool(static_cast<int>(core::environmentWhole("WEIGHTNORM_NUM_THREADS", "threads", 1, kMaxThreads)
                                    .value_or(static_cast<uint64_t>(std::clamp(performanceCores(), 1, kMaxThreads)))));
  return *pool;
}

void* Pool::enter(void* pool) {
  Pool& self = *static_cast<Pool*>(pool);
  int worker;
  {
    std::lock_guard lock(self.mutex_);
    worker = ++self.numbered_;
  }
  self.work(worker);
  return nullptr;
}

// Threads are detached: nothing joins them at exit, when they sleep on memory that is never freed.
// Fewer threads than wanted (the system's limits) only make loops slower.
void Pool::start() {
  started_ = true;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals belong to the host's threads: workers inherit a mask that blocks all of them.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  for (int worker = 1; worker < threads_; ++worker) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, &Pool::enter, this) != 0) break;
    ++running_;
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  pthread_attr_destroy(&attributes);
}

Pool::Loop* Pool::choose() {
  Loop* best = nullptr;
  for (Loop* loop : loops_) {
    if (!best || loop->helpers.load(std::memory_order_relaxed) < best->helpers.load(std::memory_order_relaxed)) best = loop;
  }
  return best;
}

// Works on the loop until its indices run out or, for a worker, another loop was posted and deserves a look.
void Pool::take(Loop& loop, int worker, uint32_t generation) {
  const size_t parts = loop.shares.size();
  for (size_t i = 0; i < parts; ++i) {
    Loop::Share& share = loop.shares[(static_cast<size_t>(worker) + i) % parts];
    for (;;) {
      const int64_t index = share.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= share.end) break;
      try {
        loop.body(index, worker);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!loop.error) loop.error = std::current_exception();
        loop.stop();
      }
      if (worker != 0 && generation_.load(std::memory_order_relaxed) != generation) return;
    }
  }
  loop.drained.store(true, std::memory_order_relaxed);
}

void Pool::work(int worker) {
  std::unique_lock lock = core::acquire(mutex_);
  for (;;) {
    Loop* const loop = choose();
    const uint32_t generation = generation_.load(std::memory_order_relaxed);
    if (!loop) {
      if (stopping_) break;
      lock.unlock();
      // The next loop of a chain of operations comes within microseconds, less than going to sleep and waking takes.
      const auto posted = [&] { return generation_.load(std::memory_order_relaxed) != generation; };
      if (!core::spin(spin_, posted)) generation_.wait(generation, std::memory_order_relaxed);
      lock = core::acquire(mutex_);
      continue;
    }
    loop->helpers.fetch_add(1, std::memory_order_relaxed);
    lock.unlock();
    take(*loop, worker, generation);
    lock = core::acquire(mutex_);
    if (loop->drained.load(std::memory_order_relaxed)) std::erase(loops_, loop);
    // The last touch of the loop: its caller may return from here on.
    if (loop->helpers.fetch_sub(1, std::memory_order_release) == 1) left_.notify_all();
  }
  --running_;
  left_.notify_all();
}

void Pool::parallelFor(int64_t count, const Body& body) {
  if (threads_ == 1 || count <= 1) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  Loop loop(body, count, threads_);
  {
    const std::unique_lock lock = core::acquire(mutex_);
    if (!started_) start();
    loops_.push_back(&loop);
    generation_.fetch_add(1, std::memory_order_relaxed);
  }
  if (count >= threads_) {
    generation_.notify_all();
  } else {
    for (int64_t helper = 1; helper < count; ++helper) generation_.notify_one();
  }
  take(loop, 0, 0);
  {
    const std::unique_lock lock = core::acquire(mutex_);
    std::erase(loops_, &loop);
  }
  const auto alone = [&] { return loop.helpers.load(std::memory_order_acquire) == 0; };
  if (!core::spin(spin_, alone)) {
    std::unique_lock lock(mutex_);
    left_.wait(lock, alone);
  }
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace weightnorm::cpu
