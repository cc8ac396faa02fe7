#include "cpu/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>

#include "cpu/system.h"

namespace weightnorm::cpu {

namespace {
// Kernels keep their scratch below this; the platforms' defaults go down to 128 KiB.
constexpr size_t kStackBytes = size_t{1} << 20;
constexpr int kMaxThreads = 1024;
}  // namespace

struct Pool::Loop {
  Loop(const Body& body, int64_t count) : body(body), count(count) {}

  const Body& body;
  const int64_t count;
  std::atomic<int64_t> next{0};
  int helpers = 0;           // workers inside, guarded by the pool's mutex
  std::exception_ptr error;  // guarded by the pool's mutex
};

Pool::Pool(int threads) : threads_(threads) {}

Pool::~Pool() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  left_.wait(lock, [this] { return running_ == 0; });
}

Pool& Pool::shared() {
  static Pool* const pool = new Pool(
      static_cast<int>(environmentInteger("WEIGHTNORM_NUM_THREADS", 1, kMaxThreads).value_or(
          static_cast<uint64_t>(std::clamp(performanceCores(), 1, kMaxThreads)))));
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
    if (!best || loop->helpers < best->helpers) best = loop;
  }
  return best;
}

// Works on the loop until its indices run out or, for a worker, another loop was posted and deserves a look.
void Pool::take(Loop& loop, int worker, uint64_t generation) {
  for (;;) {
    const int64_t index = loop.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= loop.count) return;
    try {
      loop.body(index, worker);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!loop.error) loop.error = std::current_exception();
      loop.next.store(loop.count, std::memory_order_relaxed);
    }
    if (worker != 0 && generation_.load(std::memory_order_relaxed) != generation) return;
  }
}

void Pool::work(int worker) {
  std::unique_lock lock(mutex_);
  for (;;) {
    Loop* const loop = choose();
    if (!loop) {
      if (stopping_) break;
      wake_.wait(lock);
      continue;
    }
    ++loop->helpers;
    const uint64_t generation = generation_.load(std::memory_order_relaxed);
    lock.unlock();
    take(*loop, worker, generation);
    lock.lock();
    if (loop->next.load(std::memory_order_relaxed) >= loop->count) std::erase(loops_, loop);
    if (--loop->helpers == 0) left_.notify_all();
  }
  --running_;
  left_.notify_all();
}

void Pool::parallelFor(int64_t count, const Body& body) {
  if (threads_ == 1 || count <= 1) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  Loop loop(body, count);
  {
    std::lock_guard lock(mutex_);
    if (!started_) start();
    loops_.push_back(&loop);
    generation_.fetch_add(1, std::memory_order_relaxed);
  }
  if (count >= threads_) {
    wake_.notify_all();
  } else {
    for (int64_t helper = 1; helper < count; ++helper) wake_.notify_one();
  }
  take(loop, 0, 0);
  std::unique_lock lock(mutex_);
  std::erase(loops_, &loop);
  left_.wait(lock, [&] { return loop.helpers == 0; });
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace weightnorm::cpu
