// What a parallel loop costs: microseconds of a loop of one short task a thread, beyond the task itself, for several
// lengths of polling before workers sleep and several pauses between loops.
// Usage: pool_bench [threads, default WEIGHTNORM_NUM_THREADS or the performance cores]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cpu/pool.h"

using Clock = std::chrono::steady_clock;

namespace {

double microsecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

void busy(double microseconds) {
  const auto begin = Clock::now();
  while (microsecondsSince(begin) < microseconds) {
  }
}

double medianCost(weightnorm::cpu::Pool& pool, double task, double pause) {
  std::vector<double> costs;
  for (int i = 0; i < 400; ++i) {
    const auto begin = Clock::now();
    pool.parallelFor(pool.threads(), [&](int64_t, int) { busy(task); });
    costs.push_back(microsecondsSince(begin) - task);
    busy(pause);
  }
  std::nth_element(costs.begin(), costs.begin() + 200, costs.end());
  return costs[200];
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : weightnorm::cpu::Pool::shared().threads();
  std::printf("%d threads; µs a loop costs for tasks of 2, 20 and 100 µs\npoll µs   pause µs    2 µs    20 µs   100 µs\n", threads);
  for (const int spin : {0, 5, 20, 50}) {
    weightnorm::cpu::Pool pool(threads, spin);
    for (const double pause : {0.0, 10.0, 40.0}) {
      std::printf("%7d %10.0f %7.1f %8.1f %8.1f\n", spin, pause, medianCost(pool, 2, pause), medianCost(pool, 20, pause),
                  medianCost(pool, 100, pause));
    }
  }
}
