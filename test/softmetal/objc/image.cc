// Linked into every module (library, executable, .node file) with Objective-C code: hands its metadata sections to the runtime.
#include "runtime.h"

#define SECTION_BOUNDS(type, section)                                              \
  extern "C" __attribute__((weak, visibility("hidden"))) type __start_##section[]; \
  extern "C" __attribute__((weak, visibility("hidden"))) type __stop_##section[];

SECTION_BOUNDS(ObjcClass*, objc_classlist)
SECTION_BOUNDS(const char*, objc_selrefs)
SECTION_BOUNDS(ObjcCategory*, objc_catlist)

namespace {
ObjcImage thisImage() {
  return {__start_objc_classlist, __stop_objc_classlist, __start_objc_selrefs,
          __stop_objc_selrefs,    __start_objc_catlist,  __stop_objc_catlist};
}

// Before ordinary constructors, which may already send messages.
__attribute__((constructor(101))) void registerImage() {
  const ObjcImage image = thisImage();
  softmetal_objc_register(&image);
}

__attribute__((destructor(101))) void unregisterImage() {
  const ObjcImage image = thisImage();
  softmetal_objc_unregister(&image);
}
}  // namespace
