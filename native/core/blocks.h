#pragma once

#include <cstddef>

namespace weightnorm::core {

// Memory of what one thread makes and another destroys, as the tasks of a queue and what they write. malloc would look for each
// block in its arena, under the arena's lock, which takes a good part of a call. A few hundred blocks are kept. Any thread.
void* takeBlock(size_t bytes);
void returnBlock(void* block, size_t bytes);

// The same for std::allocate_shared.
template <class T>
struct BlockAllocator {
  using value_type = T;
  BlockAllocator() = default;
  template <class Other>
  BlockAllocator(const BlockAllocator<Other>&) {}
  T* allocate(size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    return static_cast<T*>(takeBlock(count * sizeof(T)));
  }
  void deallocate(T* block, size_t count) { returnBlock(block, count * sizeof(T)); }
  bool operator==(const BlockAllocator&) const { return true; }
};

}  // namespace weightnorm::core
