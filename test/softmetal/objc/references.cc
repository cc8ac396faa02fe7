// Strong, weak and property stores, @synchronized, and the C++ side of @try.
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "runtime.h"

namespace {
struct WeakTable {
  std::recursive_mutex mutex;
  std::unordered_map<Object*, Object> slots;
  std::unordered_map<Object, std::vector<Object*>> slotsOf;
};
WeakTable& weakTable() {
  static auto* instance = new WeakTable;
  return *instance;
}
using Lock = std::lock_guard<std::recursive_mutex>;

std::recursive_mutex& monitorOf(Object object) {
  static std::mutex guard;
  static auto* monitors = new std::unordered_map<Object, std::recursive_mutex>;
  std::lock_guard lock(guard);
  return (*monitors)[object];
}

Object* propertySlot(Object self, ptrdiff_t offset) {
  return reinterpret_cast<Object*>(static_cast<char*>(self) + offset);
}

void storeProperty(Object self, ptrdiff_t offset, Object value, bool copy) {
  static const Selector copySelector = sel_registerName("copy");
  if (value && copy)
    value = reinterpret_cast<Object (*)(Object, Selector)>(softmetal_objc_lookup(value, copySelector))(value, copySelector);
  else
    objc_retain(value);
  Object* slot = propertySlot(self, offset);
  Object old = __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
  objc_release(old);
}
}  // namespace

namespace objc {
void clearWeakReferences(Object object) {
  Lock lock(weakTable().mutex);
  auto found = weakTable().slotsOf.find(object);
  if (found == weakTable().slotsOf.end()) return;
  for (Object* slot : found->second) {
    *slot = nullptr;
    weakTable().slots.erase(slot);
  }
  weakTable().slotsOf.erase(found);
}
}  // namespace objc

extern "C" {
void objc_storeStrong(Object* slot, Object value) {
  Object old = *slot;
  if (old == value) return;
  objc_retain(value);
  *slot = value;
  objc_release(old);
}

Object objc_storeWeak(Object* slot, Object value) {
  Lock lock(weakTable().mutex);
  if (auto found = weakTable().slots.find(slot); found != weakTable().slots.end()) {
    std::erase(weakTable().slotsOf[found->second], slot);
    weakTable().slots.erase(found);
  }
  *slot = value;
  if (value && !objc::isImmortal(value) && !objc::isBlock(value)) {
    weakTable().slots[slot] = value;
    weakTable().slotsOf[value].push_back(slot);
  }
  return value;
}
Object objc_initWeak(Object* slot, Object value) {
  *slot = nullptr;
  return objc_storeWeak(slot, value);
}
void objc_destroyWeak(Object* slot) {
  objc_storeWeak(slot, nullptr);
}

Object objc_loadWeakRetained(Object* slot) {
  Lock lock(weakTable().mutex);
  Object object = *slot;
  if (!object || objc::isImmortal(object) || objc::isBlock(object)) return objc_retain(object);
  return softmetal_objc_try_retain(object) ? object : nullptr;
}
Object objc_loadWeak(Object* slot) {
  return objc_autorelease(objc_loadWeakRetained(slot));
}
void objc_copyWeak(Object* to, Object* from) {
  Object object = objc_loadWeakRetained(from);
  objc_initWeak(to, object);
  objc_release(object);
}
void objc_moveWeak(Object* to, Object* from) {
  objc_copyWeak(to, from);
  objc_destroyWeak(from);
}

Object objc_getProperty(Object self, Selector, ptrdiff_t offset, bool) {
  return objc_autorelease(objc_retain(__atomic_load_n(propertySlot(self, offset), __ATOMIC_ACQUIRE)));
}
void objc_setProperty(Object self, Selector, ptrdiff_t offset, Object value, bool, signed char copy) {
  storeProperty(self, offset, value, copy);
}
void objc_setProperty_atomic(Object self, Selector, Object value, ptrdiff_t offset) {
  storeProperty(self, offset, value, false);
}
void objc_setProperty_nonatomic(Object self, Selector, Object value, ptrdiff_t offset) {
  storeProperty(self, offset, value, false);
}
void objc_setProperty_atomic_copy(Object self, Selector, Object value, ptrdiff_t offset) {
  storeProperty(self, offset, value, true);
}
void objc_setProperty_nonatomic_copy(Object self, Selector, Object value, ptrdiff_t offset) {
  storeProperty(self, offset, value, true);
}
void objc_copyStruct(void* to, const void* from, ptrdiff_t size, bool, bool) {
  __builtin_memcpy(to, from, size);
}

int objc_sync_enter(Object object) {
  if (object) monitorOf(object).lock();
  return 0;
}
int objc_sync_exit(Object object) {
  if (object) monitorOf(object).unlock();
  return 0;
}

void objc_enumerationMutation(Object) {
  softmetal_objc_fatal("collection mutated while it was enumerated");
}
void objc_terminate() {
  std::terminate();
}

void* objc_ehtype_vtable[4];  // named by the type information of NSException

void* __cxa_begin_catch(void*) noexcept;
void __cxa_end_catch();
void* objc_begin_catch(void* exception) {
  return __cxa_begin_catch(exception);
}
void objc_end_catch() {
  __cxa_end_catch();
}
void objc_exception_rethrow() {
  throw;
}
}
