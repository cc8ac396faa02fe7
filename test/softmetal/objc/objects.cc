// Instances: allocation, reference counts, destruction, and the checks on them (zombies, over-release, leaks by class).
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "runtime.h"

namespace {
constexpr uint64_t kLive = 0x6f626a634c495645, kDead = 0x6f626a6344454144;
constexpr size_t kZombies = 1 << 16;  // the most recent dead objects, kept to name late messages to them

struct Header {
  uint64_t magic;
  std::atomic<long> count;
  ObjcClass* diedAs;
  uint64_t padding;
};
static_assert(sizeof(Header) % 16 == 0, "objects keep malloc's alignment");

Header* headerOf(Object object) {
  return static_cast<Header*>(object) - 1;
}
ObjcClass* classOf(Object object) {
  return *static_cast<ObjcClass**>(object);
}

ObjcClassData zombieData = {kObjcMetaclass, 0, 0, 0, nullptr, "(deallocated)", nullptr, nullptr, nullptr, nullptr, nullptr};
ObjcClass zombieClass = {&zombieClass, nullptr, nullptr, nullptr, &zombieData};

struct Census {
  std::mutex mutex;
  std::map<std::string, long> live;
  long total = 0;
  std::deque<Header*> zombies;
};
Census& census() {
  static auto* instance = new Census;
  return *instance;
}

void callStructor(ObjcClass* cls, Object object, Selector name) {
  if (void* method = objc::ownMethod(cls, name)) reinterpret_cast<void (*)(Object, Selector)>(method)(object, name);
}

void construct(ObjcClass* cls, Object object, Selector name) {
  if (cls->superclass) construct(cls->superclass, object, name);
  callStructor(cls, object, name);
}

void checkLive(Object object, const char* operation) {
  const Header* header = headerOf(object);
  if (header->magic == kDead) softmetal_objc_fatal("%s of deallocated %s %p", operation, header->diedAs->data->name, object);
  if (header->magic != kLive) softmetal_objc_fatal("%s of %p, which is not an object", operation, object);
}
}  // namespace

extern "C" {
extern ObjcClass softmetalConstantString __asm__("OBJC_CLASS_$_NSConstantString");
}

namespace objc {
bool isImmortal(Object object) {
  ObjcClass* cls = classOf(object);
  return cls == &softmetalConstantString || (cls != &zombieClass && isMetaclass(cls));
}

void countLive(const char* name, long change) {
  std::lock_guard lock(census().mutex);
  census().live[name] += change;
  census().total += change;
}
}  // namespace objc

extern "C" {
Object class_createInstance(ObjcClass* cls, size_t extraBytes) {
  static const Selector constructor = sel_registerName(".cxx_construct");
  auto* header = static_cast<Header*>(calloc(1, sizeof(Header) + cls->data->instanceSize + extraBytes));
  header->magic = kLive;
  header->count = 1;
  Object object = header + 1;
  *static_cast<ObjcClass**>(object) = cls;
  objc::countLive(cls->data->name, 1);
  construct(cls, object, constructor);
  return object;
}

void softmetal_objc_dispose(Object object) {
  static const Selector destructor = sel_registerName(".cxx_destruct");
  ObjcClass* cls = classOf(object);
  for (ObjcClass* c = cls; c; c = c->superclass) callStructor(c, object, destructor);
  objc::countLive(cls->data->name, -1);
  Header* header = headerOf(object);
  header->diedAs = cls;
  header->magic = kDead;
  memset(object, 0xdd, cls->data->instanceSize);
  *static_cast<ObjcClass**>(object) = &zombieClass;
  std::lock_guard lock(census().mutex);
  census().zombies.push_back(header);
  if (census().zombies.size() <= kZombies) return;
  free(census().zombies.front());
  census().zombies.pop_front();
}

long softmetal_objc_live_objects(void (*report)(const char*, long, void*), void* context) {
  std::lock_guard lock(census().mutex);
  if (report)
    for (const auto& [name, count] : census().live)
      if (count) report(name.c_str(), count, context);
  return census().total;
}

void* softmetal_objc_lookup(Object self, Selector selector) {
  ObjcClass* cls = classOf(self);
  if (cls == &zombieClass)
    softmetal_objc_fatal("message -[%s %s] sent to deallocated instance %p", headerOf(self)->diedAs->data->name, selector, self);
  void* method = softmetal_objc_find_method(cls, selector);
  if (!method) softmetal_objc_fatal("%c[%s %s]: unrecognized selector", objc::isMetaclass(cls) ? '+' : '-', cls->data->name, selector);
  return method;
}

Object objc_retain(Object object) {
  if (!object || objc::isImmortal(object)) return object;
  if (objc::isBlock(object)) return _Block_copy(object);
  checkLive(object, "retain");
  headerOf(object)->count++;
  return object;
}

// Retains unless the count has already reached zero: such an object is being deallocated and must not be revived.
bool softmetal_objc_try_retain(Object object) {
  std::atomic<long>& count = headerOf(object)->count;
  for (long seen = count; seen > 0;)
    if (count.compare_exchange_weak(seen, seen + 1)) return true;
  return false;
}

void objc_release(Object object) {
  if (!object || objc::isImmortal(object)) return;
  if (objc::isBlock(object)) return _Block_release(object);
  checkLive(object, "release");
  const long count = --headerOf(object)->count;
  if (count < 0) softmetal_objc_fatal("over-release of %s %p", classOf(object)->data->name, object);
  if (count > 0) return;
  objc::clearWeakReferences(object);
  static const Selector dealloc = sel_registerName("dealloc");
  reinterpret_cast<void (*)(Object, Selector)>(softmetal_objc_lookup(object, dealloc))(object, dealloc);
  if (headerOf(object)->magic != kDead)
    softmetal_objc_fatal("-dealloc of %s did not reach NSObject: call [super dealloc]", classOf(object)->data->name);
}

long softmetal_objc_retain_count(Object object) {
  return objc::isImmortal(object) ? 1L << 30 : headerOf(object)->count.load();
}

ObjcClass* object_getClass(Object object) {
  return object ? classOf(object) : nullptr;
}
const char* object_getClassName(Object object) {
  return class_getName(object_getClass(object));
}

ObjcClass* objc_opt_class(Object object) {
  if (!object) return nullptr;
  ObjcClass* cls = classOf(object);
  return objc::isMetaclass(cls) ? static_cast<ObjcClass*>(object) : cls;
}

bool softmetal_objc_is_kind(Object object, ObjcClass* cls) {
  for (ObjcClass* c = object_getClass(object); c; c = c->superclass)
    if (c == cls) return true;
  return false;
}
bool objc_opt_isKindOfClass(Object object, ObjcClass* cls) {
  return object && softmetal_objc_is_kind(object, cls);
}
bool objc_opt_respondsToSelector(Object object, Selector selector) {
  return object && softmetal_objc_find_method(classOf(object), selector);
}

// Shortcuts that clang emits for +alloc, +new and -init.
Object objc_alloc(ObjcClass* cls) {
  static const Selector alloc = sel_registerName("alloc");
  return cls ? reinterpret_cast<Object (*)(Object, Selector)>(softmetal_objc_lookup(cls, alloc))(cls, alloc) : nullptr;
}
Object objc_allocWithZone(ObjcClass* cls) {
  return objc_alloc(cls);
}
Object objc_alloc_init(ObjcClass* cls) {
  static const Selector init = sel_registerName("init");
  Object object = objc_alloc(cls);
  return object ? reinterpret_cast<Object (*)(Object, Selector)>(softmetal_objc_lookup(object, init))(object, init) : nullptr;
}
Object objc_opt_new(ObjcClass* cls) {
  static const Selector create = sel_registerName("new");
  return cls ? reinterpret_cast<Object (*)(Object, Selector)>(softmetal_objc_lookup(cls, create))(cls, create) : nullptr;
}
Object objc_opt_self(Object object) {
  return object;
}
}
