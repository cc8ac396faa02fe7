#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/shape.h"

namespace weightnorm::core {

class Device;

// Memory of one backend. Destroying it gives the memory back to the device's cache. Any thread.
class Buffer {
 public:
  virtual ~Buffer() = default;
};

// Data a backend derives from a storage and keeps with it (packed weights, transforms).
struct Derived {
  virtual ~Derived() = default;
};

// How a storage's values are made once somebody needs them.
struct Deferred {
  virtual ~Deferred() = default;
  // Fills Storage::memory().
  virtual void run() = 0;
};

// The bytes behind one or more tensors. Written by exactly one queued operation, or before any knows it, never changed
// afterwards: a rewrite makes a new Storage, so a storage's identity is also its version.
// Its bytes are accounted with the device from construction; the Buffer appears when the writing operation runs,
// so temporaries of a long queue share memory. Fields marked [queue] belong to the queue's thread.
class Storage {
 public:
  // Reserves `bytes` (> 0) of the device's budget; throws ERR_MEMORY past its limit.
  Storage(std::shared_ptr<Device> device, uint64_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  uint64_t bytes() const { return bytes_; }
  uint64_t id() const { return id_; }
  Device& device() const { return *device_; }

  // [queue] The memory, allocated on first use and holding the values, which are made now if they were deferred;
  // throws ERR_MEMORY.
  Buffer& buffer();

  // [queue, or before any operation knows the storage] The same, whatever it holds yet.
  Buffer& memory();
  // [queue] Leaves the values to whoever asks for the buffer, or fills the memory on the way to something else and settles.
  void defer(std::unique_ptr<Deferred> values) { deferred_ = std::move(values); }
  Deferred* deferred() const { return deferred_.get(); }
  void settle() { deferred_.reset(); }

  // First failure wins. Any thread.
  void fail(FailurePtr failure);
  FailurePtr failure() const;
  // How many storages of this process have failed so far. Counted after failure() tells.
  static uint64_t failures();

  // [queue] Derived data by key (layout, group count, …); nullptr if absent.
  Derived* derived(uint64_t key) const;
  bool hasDerived() const { return !derived_.empty(); }
  Derived* keep(uint64_t key, std::unique_ptr<Derived> data);

 private:
  std::shared_ptr<Device> device_;
  uint64_t bytes_;
  uint64_t id_;
  std::map<uint64_t, std::unique_ptr<Derived>> derived_;
  std::unique_ptr<Buffer> buffer_;
  std::unique_ptr<Deferred> deferred_;
  mutable std::mutex mutex_;
  FailurePtr failure_;
  std::atomic<bool> failed_{false};  // asked of every operand of every operation
};
using StoragePtr = std::shared_ptr<Storage>;

// A contiguous row-major view of a storage from its first byte. Value type; an empty one means "absent".
struct Tensor {
  Shape shape;
  DType dtype = DType::kFloat32;
  StoragePtr storage;

  explicit operator bool() const { return storage != nullptr; }
  int64_t size() const { return shape.size(); }
  uint64_t bytes() const { return static_cast<uint64_t>(shape.size()) * sizeOf(dtype); }
};

}  // namespace weightnorm::core
