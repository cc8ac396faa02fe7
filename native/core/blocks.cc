#include "core/blocks.h"

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

namespace weightnorm::core {

namespace {

// Every block has room for the largest operation but a stream's push; what is larger is left to malloc.
constexpr size_t kBlockBytes = 1280;
constexpr int kMostKept = 256;

struct Block {
  Block* next;
};

void release(Block* list) {
  while (list) ::operator delete(std::exchange(list, list->next));
}

// Blocks that came back. Threads add one or take all, so the list needs no lock.
std::atomic<Block*> returned{nullptr};
std::atomic<int> kept{0};

// What this thread took and has not used yet.
struct Taken {
  Block* list = nullptr;
  ~Taken() { release(list); }
};
thread_local Taken taken;

}  // namespace

void* takeBlock(size_t bytes) {
  if (bytes > kBlockBytes) return ::operator new(bytes);
  if (!taken.list) {
    taken.list = returned.exchange(nullptr, std::memory_order_acquire);
    kept.store(0, std::memory_order_relaxed);
  }
  if (!taken.list) return ::operator new(kBlockBytes);
  return std::exchange(taken.list, taken.list->next);
}

void returnBlock(void* memory, size_t bytes) {
  if (bytes > kBlockBytes || kept.fetch_add(1, std::memory_order_relaxed) >= kMostKept) return ::operator delete(memory);
  auto* const block = new (memory) Block{returned.load(std::memory_order_relaxed)};
  while (!returned.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

}  // namespace weightnorm::core
