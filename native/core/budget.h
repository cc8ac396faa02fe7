#pragma once

#include <cstdint>
#include <mutex>

namespace weightnorm::core {

// Bytes of live storages on one device against its limit. Any thread.
class Budget {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {}
  // Throws ERR_MEMORY when `bytes` more would pass the limit; nothing is reserved then.
  void reserve(uint64_t bytes);
  void release(uint64_t bytes);

  struct Figures {
    uint64_t live, peak, limit;
  };
  Figures figures() const;

 private:
  mutable std::mutex mutex_;
  uint64_t limit_;
  uint64_t live_ = 0;
  uint64_t peak_ = 0;
};

}  // namespace weightnorm::core
