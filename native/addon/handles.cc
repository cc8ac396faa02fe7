#include "addon/handles.h"

#include <new>
#include <utility>

namespace weightnorm::addon {

namespace {
constexpr uintptr_t kSlabBytes = 1 << 16;
}  // namespace

struct Handles::Slot {
  TensorHandle handle;
  Slot* next = nullptr;
  bool used = false;
};

Handles::~Handles() {
  for (const uintptr_t slab : slabs_) {
    Slot* const slots = reinterpret_cast<Slot*>(slab);
    for (size_t i = 0; i < kSlabBytes / sizeof(Slot); ++i) slots[i].~Slot();
    ::operator delete(slots, std::align_val_t{kSlabBytes});
  }
}

void Handles::grow() {
  auto* const slots = static_cast<Slot*>(::operator new(kSlabBytes, std::align_val_t{kSlabBytes}));
  slabs_.insert(reinterpret_cast<uintptr_t>(slots));
  for (size_t i = 0; i < kSlabBytes / sizeof(Slot); ++i) {
    Slot* const slot = new (slots + i) Slot;
    slot->next = std::exchange(free_, slot);
  }
}

TensorHandle* Handles::add(TensorHandle handle) {
  if (!free_) grow();
  Slot* const slot = std::exchange(free_, free_->next);
  slot->handle = std::move(handle);
  slot->used = true;
  return &slot->handle;
}

void Handles::remove(TensorHandle* handle) {
  Slot* const slot = reinterpret_cast<Slot*>(handle);  // its first member
  slot->handle = {};
  slot->used = false;
  slot->next = std::exchange(free_, slot);
}

TensorHandle* Handles::find(void* data) const {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(data) % kSlabBytes, slab = reinterpret_cast<uintptr_t>(data) - offset;
  if (offset % sizeof(Slot) != 0 || (slab != latest_ && !slabs_.count(slab))) return nullptr;
  latest_ = slab;
  Slot* const slot = static_cast<Slot*>(data);
  return slot->used ? &slot->handle : nullptr;
}

void Handles::spare(TensorHandle* handle) {
  Slot* const slot = reinterpret_cast<Slot*>(handle);
  slot->next = std::exchange(spares_, slot);
  spareCount_++;
}

TensorHandle* Handles::takeSpare() {
  if (!spares_) return nullptr;
  spareCount_--;
  return &std::exchange(spares_, spares_->next)->handle;
}

}  // namespace weightnorm::addon
