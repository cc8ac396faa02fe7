#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "check.h"

// The pool: every index once, several callers, nested loops, exceptions, sleepers.
namespace testing {

namespace {

void everyIndexOnce(cpu::Pool& pool) {
  for (const int64_t count : {0, 1, 2, 3, 100, 5000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
    std::vector<std::atomic<int>> busy(static_cast<size_t>(pool.threads()));
    std::atomic<bool> shared{false};
    pool.parallelFor(count, [&](int64_t index, int worker) {
      if (busy[static_cast<size_t>(worker)].fetch_add(1) != 0) shared = true;
      ++seen[static_cast<size_t>(index)];
      --busy[static_cast<size_t>(worker)];
    });
    bool once = true;
    for (const auto& times : seen) once = once && times == 1;
    check(once, "every index of " + std::to_string(count) + " runs once");
    check(!shared, "a worker number belongs to one thread at a time");
  }
}

// Loops with a place for every worker and loops with few.
void severalCallers(cpu::Pool& pool) {
  constexpr int kCallers = 4, kRounds = 400, kMost = 20;
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        pool.parallelFor(1 + round % kMost, [&](int64_t index, int) { total += index; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  // The sum of n (n - 1) / 2 for n to kMost.
  check(total == kCallers * (kRounds / kMost) * ((kMost - 1) * kMost * (kMost + 1) / 6), "four callers at once");
}

void nested(cpu::Pool& pool) {
  std::atomic<int> count{0};
  pool.parallelFor(8, [&](int64_t, int) { pool.parallelFor(8, [&](int64_t, int) { ++count; }); });
  check(count == 64, "loops inside loops");
}

// Each loop holds its slot while those inside it run; the deepest find none and run alone.
void deeperThanSlots(cpu::Pool& pool) {
  constexpr int kDepth = cpu::Pool::kSlots + 6;
  std::atomic<int> count{0};
  const std::function<void(int)> dive = [&](int depth) {
    pool.parallelFor(2, [&](int64_t index, int) {
      ++count;
      if (index == 0 && depth > 1) dive(depth - 1);
    });
  };
  for (int round = 0; round < 3; ++round) dive(kDepth);
  check(count == 3 * 2 * kDepth, "more loops at once than slots");
}

// Every index waits for the others to begin, so each needs a thread of its own: a lost wake-up shows.
void sleepersWake(int threads) {
  cpu::Pool pool(threads, 0);
  std::atomic<bool> met{true};
  for (int round = 0; round < 100 && met; ++round) {
    std::atomic<int> begun{0};
    pool.parallelFor(threads, [&](int64_t, int) {
      ++begun;
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (begun < threads && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      if (begun < threads) met = false;
    });
    if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  check(met, "loops wake as many workers as they have indices");
}

void exceptions(cpu::Pool& pool) {
  for (int round = 0; round < 50; ++round) {
    std::string caught;
    try {
      pool.parallelFor(64, [](int64_t index, int) {
        if (index % 16 == 7) throw core::Error(core::Code::kExecution, "index");
      });
    } catch (const core::Error& error) {
      caught = error.what();
    }
    check(caught == "index", "an exception reaches the caller");
  }
  std::atomic<int> after{0};
  pool.parallelFor(64, [&](int64_t, int) { ++after; });
  check(after == 64, "the pool works after an exception");
}

}  // namespace

void testPool() {
  for (cpu::Pool* pool : pools()) {
    everyIndexOnce(*pool);
    severalCallers(*pool);
    nested(*pool);
    deeperThanSlots(*pool);
    exceptions(*pool);
  }
  for (const int threads : {2, 5}) sleepersWake(threads);
  for (int round = 0; round < 20; ++round) {
    cpu::Pool brief(3);
    std::atomic<int> count{0};
    brief.parallelFor(10, [&](int64_t, int) { ++count; });
    check(count == 10, "a pool can end right after its first loop");
  }
}

}  // namespace testing
