// Blocks: copying to the heap, captured objects, __block variables.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "runtime.h"

namespace {
struct BlockDescriptor {
  unsigned long reserved, size;
  void (*copy)(void*, const void*);
  void (*dispose)(const void*);
};
struct BlockLayout {
  void* isa;
  std::atomic<int> flags;
  int reserved;
  void* invoke;
  BlockDescriptor* descriptor;
};
struct BlockVariable {  // a __block variable, behind its forwarding pointer
  void* isa;
  BlockVariable* forwarding;
  std::atomic<int> flags;
  int size;
  void (*keep)(void*, void*);
  void (*destroy)(void*);
};

// Bits of the flags word, from the block ABI. The count is kept in steps of 2.
enum : int { kCountMask = 0xfffe, kOnHeap = 1 << 24, kHasHelpers = 1 << 25, kIsGlobal = 1 << 28 };
// Kinds of captured fields, from the same ABI.
enum : int { kFieldObject = 3, kFieldBlock = 7, kFieldVariable = 8, kFieldWeakVariable = 0x18, kFieldMask = 0x9f };
constexpr size_t kVariableHeader = 24;

void* copyVariable(BlockVariable* variable) {
  if (variable->forwarding->flags & kOnHeap) {
    variable->forwarding->flags += 2;
    return variable->forwarding;
  }
  auto* copy = static_cast<BlockVariable*>(malloc(variable->size));
  copy->isa = nullptr;
  copy->flags = variable->flags | kOnHeap | 4;
  copy->forwarding = copy;
  copy->size = variable->size;
  variable->forwarding = copy;
  if (variable->flags & kHasHelpers) {
    copy->keep = variable->keep;
    copy->destroy = variable->destroy;
    variable->keep(copy, variable);
  } else {
    memcpy(reinterpret_cast<char*>(copy) + kVariableHeader, reinterpret_cast<char*>(variable) + kVariableHeader,
           variable->size - kVariableHeader);
  }
  return copy;
}

void releaseVariable(BlockVariable* variable) {
  variable = variable->forwarding;
  if (!(variable->flags & kOnHeap)) return;
  if (((variable->flags -= 2) & kCountMask) != 0) return;
  if (variable->flags & kHasHelpers) variable->destroy(variable);
  free(variable);
}
}  // namespace

extern "C" {
extern ObjcClass softmetalStackBlock __asm__("OBJC_CLASS_$___NSStackBlock__");
extern ObjcClass softmetalGlobalBlock __asm__("OBJC_CLASS_$___NSGlobalBlock__");
extern ObjcClass softmetalMallocBlock __asm__("OBJC_CLASS_$___NSMallocBlock__");

void* _Block_copy(const void* source) {
  auto* block = static_cast<BlockLayout*>(const_cast<void*>(source));
  if (!block || (block->flags & kIsGlobal)) return block;
  if (block->flags & kOnHeap) {
    block->flags += 2;
    return block;
  }
  const size_t size = block->descriptor->size;
  auto* copy = static_cast<BlockLayout*>(malloc(size));
  memcpy(static_cast<void*>(copy), static_cast<void*>(block), size);
  copy->flags = (block->flags & ~kCountMask) | kOnHeap | 2;
  copy->isa = &softmetalMallocBlock;
  if (copy->flags & kHasHelpers) copy->descriptor->copy(copy, block);
  objc::countLive("(block)", 1);
  return copy;
}

void _Block_release(const void* source) {
  auto* block = static_cast<BlockLayout*>(const_cast<void*>(source));
  if (!block || (block->flags & kIsGlobal) || !(block->flags & kOnHeap)) return;
  const int count = (block->flags -= 2) & kCountMask;
  if (count == kCountMask) softmetal_objc_fatal("over-release of a block");
  if (count) return;
  if (block->flags & kHasHelpers) block->descriptor->dispose(block);
  objc::countLive("(block)", -1);
  memset(static_cast<void*>(block), 0xdd, sizeof *block);
  free(block);
}

Object objc_retainBlock(Object block) {
  return _Block_copy(block);
}

void _Block_object_assign(void* destination, const void* value, int field) {
  auto* slot = static_cast<void**>(destination);
  auto* captured = const_cast<void*>(value);
  switch (field & kFieldMask) {
    case kFieldObject:
      *slot = objc_retain(captured);
      return;
    case kFieldBlock:
      *slot = _Block_copy(captured);
      return;
    case kFieldVariable:
    case kFieldWeakVariable:
      *slot = copyVariable(static_cast<BlockVariable*>(captured));
      return;
    default:
      *slot = captured;
  }
}

void _Block_object_dispose(const void* value, int field) {
  auto* captured = const_cast<void*>(value);
  switch (field & kFieldMask) {
    case kFieldObject:
      objc_release(captured);
      return;
    case kFieldBlock:
      _Block_release(captured);
      return;
    case kFieldVariable:
    case kFieldWeakVariable:
      releaseVariable(static_cast<BlockVariable*>(captured));
      return;
    default:
      return;
  }
}
}

namespace objc {
bool isBlock(Object object) {
  void* cls = *static_cast<void**>(object);
  return cls == &softmetalStackBlock || cls == &softmetalGlobalBlock || cls == &softmetalMallocBlock;
}
}  // namespace objc
