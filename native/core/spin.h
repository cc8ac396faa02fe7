#pragma once

#include <chrono>
#include <mutex>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weightnorm::core {

// How long a thread polls for more work before it sleeps: twice what waking it takes on a virtual machine.
constexpr int kSpinMicroseconds = 100;

// Polls until done() or for `microseconds`; whether it was done.
template <class Done>
bool spin(int microseconds, const Done& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
#if defined(__x86_64__)
      _mm_pause();
#else
      __asm__ volatile("yield");
#endif
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// Locks a mutex that is never held for long: sleeping on it would take longer than its holder does.
inline std::unique_lock<std::mutex> acquire(std::mutex& mutex) {
  std::unique_lock lock(mutex, std::try_to_lock);
  if (!lock && !spin(kSpinMicroseconds, [&] { return lock.try_lock(); })) lock.lock();
  return lock;
}

}  // namespace weightnorm::core
