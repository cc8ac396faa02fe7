// Autorelease pools, one stack a thread. Autoreleasing without a pool is a leak on a Mac and an error here.
#include <cstdio>
#include <vector>

#include "runtime.h"

namespace {
struct Pool {
  std::vector<Object> objects;
  std::vector<size_t> marks;
};
thread_local Pool pool;
}  // namespace

extern "C" {
void* objc_autoreleasePoolPush() {
  pool.marks.push_back(pool.objects.size());
  return reinterpret_cast<void*>(pool.marks.size());
}

void objc_autoreleasePoolPop(void* token) {
  const auto depth = reinterpret_cast<size_t>(token);
  if (!depth || depth > pool.marks.size()) softmetal_objc_fatal("autorelease pool popped that is not in place");
  while (pool.objects.size() > pool.marks[depth - 1]) {
    Object object = pool.objects.back();
    pool.objects.pop_back();
    objc_release(object);
  }
  pool.marks.resize(depth - 1);
}

Object objc_autorelease(Object object) {
  if (!object || objc::isImmortal(object)) return object;
  if (pool.marks.empty()) {
    ObjcClass* cls = *static_cast<ObjcClass**>(object);
    softmetal_objc_fatal("%s autoreleased with no pool in place: it would leak", cls->data->name);
  }
  pool.objects.push_back(object);
  return object;
}

Object objc_retainAutorelease(Object object) {
  return objc_autorelease(objc_retain(object));
}
Object objc_autoreleaseReturnValue(Object object) {
  return objc_autorelease(object);
}
Object objc_retainAutoreleaseReturnValue(Object object) {
  return objc_autorelease(objc_retain(object));
}
Object objc_retainAutoreleasedReturnValue(Object object) {
  return objc_retain(object);
}
Object objc_claimAutoreleasedReturnValue(Object object) {
  return objc_retain(object);
}
Object objc_unsafeClaimAutoreleasedReturnValue(Object object) {
  return object;
}
}
