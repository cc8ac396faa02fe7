// Metadata of Apple's non-fragile Objective-C ABI, as clang -fobjc-runtime=macosx-* lays it out (64-bit).
#pragma once
#include <cstddef>
#include <cstdint>

struct ObjcMethod {
  const char* selector;
  const char* types;
  void* implementation;
};

struct ObjcMethodList {
  uint32_t entrySize;  // the top bit marks relative lists, which clang does not emit for this target
  uint32_t count;
  ObjcMethod methods[1];
};

struct ObjcProtocolList;

struct ObjcProtocol {
  void* isa;
  const char* name;
  ObjcProtocolList* protocols;
  ObjcMethodList *instanceMethods, *classMethods, *optionalInstanceMethods, *optionalClassMethods;
  void* properties;
  uint32_t size, flags;
};

struct ObjcProtocolList {
  long count;
  ObjcProtocol* protocols[1];
};

struct ObjcIvar {
  int64_t* offset;  // read by every access to the ivar, so moving it moves the ivar
  const char *name, *type;
  uint32_t alignmentShift, size;
};

struct ObjcIvarList {
  uint32_t entrySize, count;
  ObjcIvar ivars[1];
};

enum ObjcClassFlags : uint32_t { kObjcMetaclass = 1 };

struct ObjcClassData {
  uint32_t flags, instanceStart, instanceSize, reserved;
  const uint8_t* strongLayout;
  const char* name;
  ObjcMethodList* methods;
  ObjcProtocolList* protocols;
  ObjcIvarList* ivars;
  const uint8_t* weakLayout;
  void* properties;
};

struct ObjcClass {
  ObjcClass *isa, *superclass;
  void *cache, *vtable;
  ObjcClassData* data;
};

struct ObjcCategory {
  const char* name;
  ObjcClass* cls;
  ObjcMethodList *instanceMethods, *classMethods;
  ObjcProtocolList* protocols;
  void* properties;
};

struct ObjcSuper {
  void* receiver;
  ObjcClass* currentClass;
};
