#include "core/blocks.h"

#include <atomic>
#include <new>
#include <utility>

#include "core/sanitizer.h"

namespace weightnorm::core {

namespace {

struct Block {
  Block* next;
};

void release(Block* list) {
  while (list) ::operator delete(std::exchange(list, list->next));
}

// Blocks of one size. Threads add one that comes back or take all, so that list needs no lock.
template <size_t Bytes, int MostKept>
class Pool {
 public:
  static void* take() {
    if (!taken_.list) {
      taken_.list = returned_.exchange(nullptr, std::memory_order_acquire);
      kept_.store(0, std::memory_order_relaxed);
    }
    if (!taken_.list) return ::operator new(Bytes);
    Block* const block = std::exchange(taken_.list, taken_.list->next);
    permit(block, Bytes);
    return block;
  }

  static void giveBack(void* memory) {
    if (kept_.fetch_add(1, std::memory_order_relaxed) >= MostKept) return ::operator delete(memory);
    auto* const block = new (memory) Block{returned_.load(std::memory_order_relaxed)};
    forbid(block + 1, Bytes - sizeof(Block));
    while (!returned_.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

 private:
  // What a thread took and has not used yet.
  struct Taken {
    Block* list = nullptr;
    ~Taken() { release(std::exchange(list, nullptr)); }
  };
  static inline std::atomic<Block*> returned_{nullptr};
  static inline std::atomic<int> kept_{0};
  static inline thread_local Taken taken_;
};

// Room for a storage, and for the largest operation but a stream's push; what is larger is left to malloc.
constexpr size_t kSmall = 320, kLarge = 1280;
using Small = Pool<kSmall, 1024>;
using Large = Pool<kLarge, 256>;

}  // namespace

void* takeBlock(size_t bytes) {
  if (bytes <= kSmall) return Small::take();
  return bytes <= kLarge ? Large::take() : ::operator new(bytes);
}

void returnBlock(void* memory, size_t bytes) {
  if (bytes <= kSmall) return Small::giveBack(memory);
  if (bytes <= kLarge) return Large::giveBack(memory);
  ::operator delete(memory);
}

}  // namespace weightnorm::core
