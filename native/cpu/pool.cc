#include "cpu/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <new>
#include <utility>

#include "core/environment.h"
#include "cpu/system.h"

namespace weightnorm::cpu {

namespace {
// Kernels keep their scratch below this; the platforms' defaults go down to 128 KiB.
constexpr size_t kStackBytes = size_t{1} << 20;
constexpr int kMaxThreads = 1024;
constexpr int kSeatsForAll = 1 << 30;  // of a loop that every worker may help with
}  // namespace

// Where a loop is posted. Slots outlive loops, so a worker may look at one whose loop has ended, or say that it is inside
// for a moment and find it closed. Only workers that found it open read the plain fields.
struct alignas(64) Pool::Slot {
  // A contiguous part of the indices. Each worker begins with its own, so that loops over the same data find it in the
  // same core's cache and neighbours stay together; then it helps with the others.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  // Apart from the shares, which everybody looks at.
  struct alignas(64) Presence {
    std::atomic<uint32_t> inside{0};
  };

  void start(const Body& work, int64_t count, int threads) {
    body = &work;
    parts = static_cast<int>(std::min<int64_t>(threads, count));
    for (int i = 0; i < parts; ++i) {
      Share& share = shares[static_cast<size_t>(i)];
      share.next.store(count / parts * i + std::min<int64_t>(i, count % parts), std::memory_order_relaxed);
      share.end = count / parts * (i + 1) + std::min<int64_t>(i + 1, count % parts);
    }
    seats.store(parts == threads ? kSeatsForAll : parts - 1, std::memory_order_relaxed);
    open.store(true, std::memory_order_release);
  }
  // No index is begun from here on, but those being claimed.
  void stop() {
    for (int i = 0; i < parts; ++i) {
      Share& share = shares[static_cast<size_t>(i)];
      share.next.store(share.end, std::memory_order_relaxed);
    }
  }
  bool isInside(int worker) const { return workers[static_cast<size_t>(worker)].inside.load() != 0; }
  int countInside(int threads) const {
    int count = 0;
    for (int worker = 1; worker < threads; ++worker) count += isInside(worker);
    return count;
  }
  bool enter(int worker);
  void leave(int worker);

  std::atomic<bool> open{false};  // until every index was begun, and while the caller is there
  std::atomic<int> seats{0};      // for workers still to come, changed by those inside
  // Read by those inside while others come: on a line of its own.
  alignas(64) const Body* body = nullptr;
  int parts = 0;
  // One a thread, from the slot's first loop on.
  std::unique_ptr<Share[]> shares;
  std::unique_ptr<Presence[]> workers;
  std::atomic<bool> awaited{false};  // the caller sleeps until those inside have left
  std::exception_ptr error;          // guarded by the pool's mutex while workers are inside
};

// Sequentially consistent with the caller, who closes, then looks who is inside: one of the two sees the other.
bool Pool::Slot::enter(int worker) {
  workers[static_cast<size_t>(worker)].inside.store(1);
  if (open.load()) {
    if (seats.load(std::memory_order_relaxed) == kSeatsForAll) return true;
    if (seats.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
    seats.fetch_add(1, std::memory_order_relaxed);
  }
  leave(worker);
  return false;
}

// The last touch of a loop: its caller may return from here on.
void Pool::Slot::leave(int worker) {
  std::atomic<uint32_t>& inside = workers[static_cast<size_t>(worker)].inside;
  inside.store(0);
  if (awaited.load()) inside.notify_one();
}

Pool::Pool(int threads, int spinMicroseconds) : threads_(threads), spin_(spinMicroseconds), slots_(new Slot[kSlots]) {}

Pool::~Pool() {
  std::unique_lock lock(mutex_);
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1);
  generation_.notify_all();
  ended_.wait(lock, [this] { return running_ == 0; });
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
  std::lock_guard lock(self.mutex_);
  --self.running_;
  self.ended_.notify_all();
  return nullptr;
}

// Threads are detached: nothing joins them at exit, when they sleep on memory that is never freed.
// Fewer threads than wanted (the system's limits) only make loops slower.
void Pool::start() {
  std::lock_guard lock(mutex_);
  if (started_.load(std::memory_order_relaxed)) return;
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
  started_.store(true, std::memory_order_release);
}

// A slot for a caller, with shares; null where there is none.
Pool::Slot* Pool::claim() {
  uint64_t taken = taken_.load(std::memory_order_relaxed);
  do {
    if (taken == ~uint64_t{0}) return nullptr;
  } while (!taken_.compare_exchange_weak(taken, taken | (taken + 1), std::memory_order_acquire, std::memory_order_relaxed));
  const int free = std::countr_one(taken);
  Slot& slot = slots_[static_cast<size_t>(free)];
  const size_t threads = static_cast<size_t>(threads_);
  if (!slot.shares) slot.shares.reset(new (std::nothrow) Slot::Share[threads]);
  if (!slot.workers) slot.workers.reset(new (std::nothrow) Slot::Presence[threads]);
  if (slot.shares && slot.workers) return &slot;
  taken_.fetch_and(~(uint64_t{1} << free), std::memory_order_relaxed);
  return nullptr;
}

// Takes the calling worker into the open loop that has the fewest; null where none has a seat.
Pool::Slot* Pool::join(int worker) {
  for (;;) {
    Slot* best = nullptr;
    int fewest = 0;
    const uint64_t taken = taken_.load(std::memory_order_relaxed);
    for (uint64_t rest = taken; rest != 0; rest &= rest - 1) {
      Slot& slot = slots_[static_cast<size_t>(std::countr_zero(rest))];
      if (!slot.open.load(std::memory_order_acquire) || slot.seats.load(std::memory_order_relaxed) <= 0) continue;
      const int inside = std::has_single_bit(taken) ? 0 : slot.countInside(threads_);
      if (best && inside >= fewest) continue;
      best = &slot;
      fewest = inside;
    }
    if (!best || best->enter(worker)) return best;
  }
}

// Works on the loop until its indices run out or, for a worker, another loop was posted and deserves a look.
void Pool::take(Slot& slot, int worker, uint32_t generation) {
  for (int i = 0; i < slot.parts; ++i) {
    Slot::Share& share = slot.shares[static_cast<size_t>((worker + i) % slot.parts)];
    // Looks before it claims from another's: the lines of finished shares stay in every core's cache.
    while (i == 0 || share.next.load(std::memory_order_relaxed) < share.end) {
      const int64_t index = share.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= share.end) break;
      try {
        (*slot.body)(index, worker);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!slot.error) slot.error = std::current_exception();
        slot.stop();
      }
      if (worker != 0 && generation_.load(std::memory_order_relaxed) != generation) return;
    }
  }
  if (slot.open.load(std::memory_order_relaxed)) slot.open.store(false, std::memory_order_relaxed);
}

void Pool::work(int worker) {
  for (;;) {
    // Read before the slots are looked at: a loop posted since changes it, and the wait below returns at once.
    const uint32_t generation = generation_.load(std::memory_order_acquire);
    if (Slot* const slot = join(worker)) {
      take(*slot, worker, generation);
      if (slot->seats.load(std::memory_order_relaxed) != kSeatsForAll) slot->seats.fetch_add(1, std::memory_order_relaxed);
      slot->leave(worker);
      continue;
    }
    if (stopping_.load(std::memory_order_relaxed)) return;
    // The next loop of a chain of operations comes within microseconds, less than going to sleep and waking takes.
    const auto posted = [&] { return generation_.load(std::memory_order_relaxed) != generation; };
    if (core::spin(spin_, posted)) continue;
    // Sequentially consistent with the caller, who posts, then counts sleepers: one of the two sees the other.
    sleeping_.fetch_add(1);
    generation_.wait(generation);
    sleeping_.fetch_sub(1, std::memory_order_relaxed);
  }
}

// Wakes as many sleepers as it takes for `wanted` workers to be free. A miscount only means fewer helpers or idle ones.
void Pool::wake(int wanted, const Slot& own) {
  const int sleeping = sleeping_.load();
  if (sleeping == 0) return;
  int awake = running_.load(std::memory_order_relaxed) - sleeping;
  for (uint64_t rest = taken_.load(std::memory_order_relaxed); rest != 0; rest &= rest - 1) {
    const Slot& slot = slots_[static_cast<size_t>(std::countr_zero(rest))];
    if (&slot != &own && slot.open.load(std::memory_order_acquire)) awake -= slot.countInside(threads_);
  }
  wanted -= std::max(awake, 0);
  if (wanted >= sleeping) {
    generation_.notify_all();
  } else {
    for (; wanted > 0; --wanted) generation_.notify_one();
  }
}

void Pool::parallelFor(int64_t count, const Body& body) {
  if (threads_ > 1 && count > 1 && !started_.load(std::memory_order_acquire)) start();
  Slot* const slot = threads_ > 1 && count > 1 ? claim() : nullptr;
  if (!slot) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  slot->start(body, count, threads_);
  generation_.fetch_add(1);
  wake(slot->parts - 1, *slot);
  take(*slot, 0, 0);

  // Workers that come from here on stay outside; those inside are at their last index.
  slot->open.store(false);
  int worker = 1;
  const auto alone = [&] {
    while (worker < threads_ && !slot->isInside(worker)) ++worker;
    return worker == threads_;
  };
  if (!core::spin(spin_, alone)) {
    slot->awaited.store(true);
    while (!alone()) slot->workers[static_cast<size_t>(worker)].inside.wait(1);
    slot->awaited.store(false);
  }
  const std::exception_ptr error = std::exchange(slot->error, nullptr);
  taken_.fetch_and(~(uint64_t{1} << (slot - slots_.get())), std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

}  // namespace weightnorm::cpu
