#pragma once

#include <atomic>
#include <cstdint>

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
  const uint64_t limit_;
  std::atomic<uint64_t> live_{0}, peak_{0};
};

}  // namespace weightnorm::core
