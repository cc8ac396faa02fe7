#include "core/budget.h"

#include "core/error.h"

namespace weightnorm::core {

void Budget::reserve(uint64_t bytes) {
  uint64_t live = live_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ - live) {
      throw Error(Code::kMemory, format("%llu bytes are needed, but %llu of the device's %llu bytes are in use or queued: dispose tensors, "
                                        "await pending work, or raise WEIGHTNORM_MEMORY_LIMIT",
                                        static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(live),
                                        static_cast<unsigned long long>(limit_)));
    }
  } while (!live_.compare_exchange_weak(live, live + bytes, std::memory_order_relaxed));
  uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (peak < live + bytes && !peak_.compare_exchange_weak(peak, live + bytes, std::memory_order_relaxed)) {
  }
}

void Budget::release(uint64_t bytes) {
  live_.fetch_sub(bytes, std::memory_order_relaxed);
}

Budget::Figures Budget::figures() const {
  return {live_.load(std::memory_order_relaxed), peak_.load(std::memory_order_relaxed), limit_};
}

}  // namespace weightnorm::core
