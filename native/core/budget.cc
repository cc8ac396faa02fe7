#include "core/budget.h"

#include <algorithm>

#include "core/error.h"
#include "core/spin.h"

namespace weightnorm::core {

void Budget::reserve(uint64_t bytes) {
  const std::unique_lock lock = acquire(mutex_);
  if (bytes > limit_ - live_) {
    throw Error(Code::kMemory, format("%llu bytes are needed, but %llu of the device's %llu bytes are in use or queued: dispose tensors, "
                                      "await pending work, or raise WEIGHTNORM_MEMORY_LIMIT",
                                      static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(live_),
                                      static_cast<unsigned long long>(limit_)));
  }
  live_ += bytes;
  peak_ = std::max(peak_, live_);
}

void Budget::release(uint64_t bytes) {
  const std::unique_lock lock = acquire(mutex_);
  live_ -= bytes;
}

Budget::Figures Budget::figures() const {
  const std::unique_lock lock = acquire(mutex_);
  return {live_, peak_, limit_};
}

}  // namespace weightnorm::core
