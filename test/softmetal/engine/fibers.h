// Stacks for kernel threads and the switch between them.
#pragma once
#include <cstddef>
#include <vector>

namespace softmetal {

constexpr size_t kFiberStackBytes = 128 * 1024, kFiberGuardBytes = 4096;
constexpr unsigned kMaxThreadsPerThreadgroup = 1024;

// A pool of guarded stacks. A thread holds one from its first instruction to its last.
class StackPool {
 public:
  StackPool();
  void reset();  // takes all back
  int take();
  void give(int stack) { free_.push_back(stack); }
  char* top(int stack) const { return base_ + (stack + 1) * kStride; }
  // The stack around an address, or -1.
  int stackOf(const void* address) const {
    const size_t offset = static_cast<const char*>(address) - base_;
    return offset < kStride * kMaxThreadsPerThreadgroup ? static_cast<int>(offset / kStride) : -1;
  }

 private:
  static constexpr size_t kStride = kFiberStackBytes + kFiberGuardBytes;
  char* base_;
  std::vector<int> free_;
};

// Saves the running context in *from and continues at to.
extern "C" void softmetal_switch(void** from, void* to);
// A context that starts at entry (which never returns) on the stack that ends at top.
void* newContext(char* top, void (*entry)());

}  // namespace softmetal
