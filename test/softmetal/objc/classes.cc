// Classes, selectors, categories, protocols: registering a module's metadata and finding methods in it.
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime.h"

namespace {
struct CacheEntry {
  ObjcClass* cls;
  Selector selector;
  void* implementation;
  auto operator<=>(const CacheEntry&) const = default;
};

struct Registry {
  std::recursive_mutex mutex;
  std::unordered_set<std::string> selectors;
  std::unordered_map<std::string, ObjcClass*> classes;
  std::unordered_map<ObjcClass*, std::vector<ObjcMethodList*>> categoryMethods;  // newest first
  std::unordered_map<ObjcClass*, std::vector<ObjcProtocolList*>> categoryProtocols;
  std::unordered_set<ObjcClass*> realized;
  std::set<CacheEntry> cached;  // kept for good: a message send may be reading any of them without the lock
};

// Never destroyed: modules unload in any order at exit.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

using Lock = std::lock_guard<std::recursive_mutex>;

constexpr size_t kCacheSize = 4096;  // CACHE_MASK in message_x86_64.S
}  // namespace

extern "C" {
void* _objc_empty_cache;
void* _objc_empty_vtable;
// Entries are immutable and never freed, so readers need no lock.
std::atomic<const CacheEntry*> softmetal_objc_cache[kCacheSize];
}

namespace {
// While the process ends, other threads may still send messages: classes stay.
std::atomic<bool> exiting;
void markExiting() {
  exiting = true;
}

size_t cacheSlot(ObjcClass* cls, Selector selector) {
  return ((reinterpret_cast<uintptr_t>(cls) >> 3) ^ reinterpret_cast<uintptr_t>(selector)) & (kCacheSize - 1);
}

void flushCache() {
  for (auto& entry : softmetal_objc_cache) entry.store(nullptr);
}

void uniqueSelectors(ObjcMethodList* list) {
  if (!list) return;
  if (list->entrySize & 0x80000000u) softmetal_objc_fatal("relative method lists are not supported");
  for (uint32_t i = 0; i < list->count; i++) list->methods[i].selector = sel_registerName(list->methods[i].selector);
}

void* findIn(const ObjcMethodList* list, Selector selector) {
  if (!list) return nullptr;
  for (uint32_t i = 0; i < list->count; i++)
    if (list->methods[i].selector == selector) return list->methods[i].implementation;
  return nullptr;
}

// Moves the ivars behind a superclass that is larger than the one the class was compiled against.
void realize(ObjcClass* cls) {
  if (!cls || !registry().realized.insert(cls).second) return;
  realize(cls->superclass);
  if (!cls->superclass || objc::isMetaclass(cls)) return;
  const uint32_t superSize = cls->superclass->data->instanceSize;
  ObjcClassData* data = cls->data;
  if (data->instanceStart >= superSize) return;
  uint32_t alignment = 8;
  if (const ObjcIvarList* list = data->ivars)
    for (uint32_t i = 0; i < list->count; i++) alignment = std::max(alignment, 1u << list->ivars[i].alignmentShift);
  const uint32_t shift = (superSize - data->instanceStart + alignment - 1) & ~(alignment - 1);
  if (const ObjcIvarList* list = data->ivars)
    for (uint32_t i = 0; i < list->count; i++)
      if (list->ivars[i].offset) *list->ivars[i].offset += shift;
  data->instanceStart += shift;
  data->instanceSize += shift;
}

void addCategory(ObjcCategory* category) {
  uniqueSelectors(category->instanceMethods);
  uniqueSelectors(category->classMethods);
  auto& methods = registry().categoryMethods;
  if (category->instanceMethods) {
    auto& lists = methods[category->cls];
    lists.insert(lists.begin(), category->instanceMethods);
  }
  if (category->classMethods) {
    auto& lists = methods[category->cls->isa];
    lists.insert(lists.begin(), category->classMethods);
  }
  if (category->protocols) registry().categoryProtocols[category->cls].push_back(category->protocols);
}

template <class T>
void eraseFrom(std::unordered_map<ObjcClass*, std::vector<T*>>& map, ObjcClass* cls, T* value) {
  auto found = map.find(cls);
  if (found == map.end()) return;
  std::erase(found->second, value);
}

bool protocolListHas(const ObjcProtocolList* list, const char* name) {
  if (!list) return false;
  for (long i = 0; i < list->count; i++)
    if (!strcmp(list->protocols[i]->name, name) || protocolListHas(list->protocols[i]->protocols, name)) return true;
  return false;
}
}  // namespace

namespace objc {
bool isMetaclass(const ObjcClass* cls) {
  return cls->data->flags & kObjcMetaclass;
}

void* ownMethod(ObjcClass* cls, Selector selector) {
  return findIn(cls->data->methods, selector);
}
}  // namespace objc

extern "C" {
void softmetal_objc_fatal(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("softmetal: objc: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  fflush(stderr);
  abort();
}

const char* sel_registerName(const char* name) {
  Lock lock(registry().mutex);
  return registry().selectors.insert(name).first->c_str();
}
const char* sel_getUid(const char* name) {
  return sel_registerName(name);
}
const char* sel_getName(Selector selector) {
  return selector;
}

void softmetal_objc_register(const ObjcImage* image) {
  Lock lock(registry().mutex);
  atexit(markExiting);  // by a module of the main program or later, hence before any module's destructors
  for (auto selector = image->selectorBegin; selector < image->selectorEnd; selector++) *selector = sel_registerName(*selector);
  for (auto cls = image->classBegin; cls < image->classEnd; cls++) {
    if (!registry().classes.emplace((*cls)->data->name, *cls).second) softmetal_objc_fatal("class %s is defined twice", (*cls)->data->name);
    uniqueSelectors((*cls)->data->methods);
    uniqueSelectors((*cls)->isa->data->methods);
  }
  for (auto cls = image->classBegin; cls < image->classEnd; cls++) realize(*cls);
  for (auto category = image->categoryBegin; category < image->categoryEnd; category++) addCategory(*category);
  flushCache();
}

void softmetal_objc_unregister(const ObjcImage* image) {
  if (exiting) return;
  Lock lock(registry().mutex);
  for (auto category = image->categoryBegin; category < image->categoryEnd; category++) {
    eraseFrom(registry().categoryMethods, (*category)->cls, (*category)->instanceMethods);
    eraseFrom(registry().categoryMethods, (*category)->cls->isa, (*category)->classMethods);
    eraseFrom(registry().categoryProtocols, (*category)->cls, (*category)->protocols);
  }
  for (auto cls = image->classBegin; cls < image->classEnd; cls++) {
    registry().classes.erase((*cls)->data->name);
    registry().categoryMethods.erase(*cls);
    registry().categoryMethods.erase((*cls)->isa);
    registry().categoryProtocols.erase(*cls);
    registry().realized.erase(*cls);
  }
  flushCache();
}

void* softmetal_objc_find_method(ObjcClass* cls, Selector selector) {
  const size_t slot = cacheSlot(cls, selector);
  if (const CacheEntry* entry = softmetal_objc_cache[slot].load(); entry && entry->cls == cls && entry->selector == selector)
    return entry->implementation;
  Lock lock(registry().mutex);
  for (ObjcClass* c = cls; c; c = c->superclass) {
    void* found = nullptr;
    if (auto extra = registry().categoryMethods.find(c); extra != registry().categoryMethods.end())
      for (ObjcMethodList* list : extra->second)
        if (!found) found = findIn(list, selector);
    if (!found) found = objc::ownMethod(c, selector);
    if (!found) continue;
    softmetal_objc_cache[slot].store(&*registry().cached.insert({cls, selector, found}).first);
    return found;
  }
  return nullptr;
}

void* softmetal_objc_lookup_super(ObjcSuper* context, Selector selector) {
  void* method = softmetal_objc_find_method(context->currentClass->superclass, selector);
  if (!method) softmetal_objc_fatal("no superclass of %s has %s", context->currentClass->data->name, selector);
  return method;
}

ObjcClass* objc_getClass(const char* name) {
  Lock lock(registry().mutex);
  auto found = registry().classes.find(name);
  return found == registry().classes.end() ? nullptr : found->second;
}
ObjcClass* objc_lookUpClass(const char* name) {
  return objc_getClass(name);
}
const char* class_getName(ObjcClass* cls) {
  return cls ? cls->data->name : "nil";
}
ObjcClass* class_getSuperclass(ObjcClass* cls) {
  return cls ? cls->superclass : nullptr;
}
size_t class_getInstanceSize(ObjcClass* cls) {
  return cls ? cls->data->instanceSize : 0;
}
bool class_respondsToSelector(ObjcClass* cls, Selector selector) {
  return cls && softmetal_objc_find_method(cls, sel_registerName(selector));
}

bool softmetal_objc_conforms(ObjcClass* cls, ObjcProtocol* protocol) {
  Lock lock(registry().mutex);
  for (; cls; cls = cls->superclass) {
    if (protocolListHas(cls->data->protocols, protocol->name)) return true;
    if (auto extra = registry().categoryProtocols.find(cls); extra != registry().categoryProtocols.end())
      for (ObjcProtocolList* list : extra->second)
        if (protocolListHas(list, protocol->name)) return true;
  }
  return false;
}
bool class_conformsToProtocol(ObjcClass* cls, ObjcProtocol* protocol) {
  return cls && protocol && softmetal_objc_conforms(cls, protocol);
}
}
