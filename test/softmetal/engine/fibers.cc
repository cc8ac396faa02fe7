#include "fibers.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

// Callee-saved registers of the System V ABI. The floating-point control words stay: all fibres share a mode.
__asm__(
    ".text\n"
    ".globl softmetal_switch\n"
    ".hidden softmetal_switch\n"
    ".type softmetal_switch, @function\n"
    "softmetal_switch:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n"
    ".size softmetal_switch, .-softmetal_switch\n");

namespace softmetal {

StackPool::StackPool() {
  const size_t size = kStride * kMaxThreadsPerThreadgroup;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("softmetal: no memory for kernel stacks");
    abort();
  }
  base_ = static_cast<char*>(memory);
  for (unsigned i = 0; i < kMaxThreadsPerThreadgroup; i++) mprotect(base_ + i * kStride, kFiberGuardBytes, PROT_NONE);
  reset();
}

void StackPool::reset() {
  free_.clear();
  for (int i = kMaxThreadsPerThreadgroup; i-- > 0;) free_.push_back(i);
}

int StackPool::take() {
  const int stack = free_.back();
  free_.pop_back();
  return stack;
}

void* newContext(char* top, void (*entry)()) {
  auto** stack = reinterpret_cast<void**>(top);
  *--stack = nullptr;
  *--stack = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--stack = nullptr;
  return stack;
}

}  // namespace softmetal
