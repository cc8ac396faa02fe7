#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_set>

#include "core/storage.h"

namespace weightnorm::addon {

struct EnvQueue;

// What a native tensor handle owns; `tensor.storage` is null once disposed.
struct TensorHandle {
  core::Tensor tensor;
  std::shared_ptr<EnvQueue> queue;
  int64_t accounted = 0;        // bytes reported to the garbage collector
  napi_ref external = nullptr;  // to the External over it, once it was spare; strong while it is
};

// The tensor handles of one environment: an External is taken for one only if it is here. They lie in slabs aligned to their
// size, so that a lookup, of which a call makes several, touches nothing that grows with the number of handles but a small set.
// Memory is kept for further handles until the environment goes. Its thread only.
class Handles {
 public:
  Handles() = default;
  ~Handles();
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  TensorHandle* add(TensorHandle handle);
  void remove(TensorHandle* handle);
  // The handle at `data`, or null where there is none.
  TensorHandle* find(void* data) const;

  // Disposed handles whose Externals serve again, the last one first: making an External and collecting it is a good part of a call.
  bool full() const { return spareCount_ == kMostSpare; }
  void spare(TensorHandle* handle);
  TensorHandle* takeSpare();  // null where there is none

 private:
  static constexpr size_t kMostSpare = 256;
  struct Slot;
  void grow();

  std::unordered_set<uintptr_t> slabs_;  // addresses
  mutable uintptr_t latest_ = 0;         // of them, the one where a handle was found last
  Slot* free_ = nullptr;
  Slot* spares_ = nullptr;
  size_t spareCount_ = 0;
};

}  // namespace weightnorm::addon
