#include "core/storage.h"

#include "core/backend.h"

namespace weightnorm::core {

namespace {
std::atomic<uint64_t> nextId{1};
std::atomic<uint64_t> failed{0};
}  // namespace

Storage::Storage(std::shared_ptr<Device> device, uint64_t bytes) : device_(std::move(device)), bytes_(bytes), id_(nextId++) {
  device_->budget().reserve(bytes_);
}

Storage::~Storage() {
  device_->budget().release(bytes_);
}

Buffer& Storage::buffer() {
  if (deferred_) {
    deferred_->run();
    settle();
  }
  return memory();
}

Buffer& Storage::memory() {
  if (!buffer_) buffer_ = device_->allocate(bytes_);
  return *buffer_;
}

void Storage::fail(FailurePtr failure) {
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  failed_.store(failure_ != nullptr, std::memory_order_release);
  failed.fetch_add(1, std::memory_order_release);
}

uint64_t Storage::failures() {
  return failed.load(std::memory_order_acquire);
}

FailurePtr Storage::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return nullptr;
  std::lock_guard lock(mutex_);
  return failure_;
}

Derived* Storage::derived(uint64_t key) const {
  const auto found = derived_.find(key);
  return found == derived_.end() ? nullptr : found->second.get();
}

Derived* Storage::keep(uint64_t key, std::unique_ptr<Derived> data) {
  return (derived_[key] = std::move(data)).get();
}

}  // namespace weightnorm::core
