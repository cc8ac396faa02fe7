// Internal interface of the Objective-C runtime: what the Foundation subset and the tests call besides the public entry points.
#pragma once
#include "abi.h"

using Object = void*;
using Selector = const char*;

extern "C" {
// One loadable module's metadata. Called by the constructor and the destructor in image.cc, once a module.
struct ObjcImage {
  ObjcClass **classBegin, **classEnd;
  const char **selectorBegin, **selectorEnd;
  ObjcCategory **categoryBegin, **categoryEnd;
};
void softmetal_objc_register(const ObjcImage* image);
void softmetal_objc_unregister(const ObjcImage* image);

// Prints the message and aborts: the program broke a rule of the language runtime.
void softmetal_objc_fatal(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));

// Called by the assembly behind objc_msgSend on a cache miss; never returns null.
void* softmetal_objc_lookup(Object self, Selector selector);
void* softmetal_objc_lookup_super(ObjcSuper* context, Selector selector);

// Live instances (objects and heap blocks), optionally reported by class name.
long softmetal_objc_live_objects(void (*report)(const char* name, long count, void* context), void* context);

Object class_createInstance(ObjcClass* cls, size_t extraBytes);
void softmetal_objc_dispose(Object object);
bool softmetal_objc_try_retain(Object object);
long softmetal_objc_retain_count(Object object);
bool softmetal_objc_is_kind(Object object, ObjcClass* cls);
bool softmetal_objc_conforms(ObjcClass* cls, ObjcProtocol* protocol);
void* softmetal_objc_find_method(ObjcClass* cls, Selector selector);  // null if there is none

Object objc_retain(Object object);
void objc_release(Object object);
Object objc_autorelease(Object object);
void* objc_autoreleasePoolPush();
void objc_autoreleasePoolPop(void* token);
#ifndef __OBJC__  // <objc/runtime.h> declares them with Objective-C's own types
const char* sel_registerName(const char* name);
const char* class_getName(ObjcClass* cls);
ObjcClass* objc_getClass(const char* name);
#endif
void* _Block_copy(const void* block);
void _Block_release(const void* block);
}

namespace objc {
bool isMetaclass(const ObjcClass* cls);
bool isBlock(Object object);
bool isImmortal(Object object);                      // classes and string literals: never counted
void* ownMethod(ObjcClass* cls, Selector selector);  // in the class itself, categories left out
void clearWeakReferences(Object object);
void countLive(const char* name, long change);  // by class name; blocks count as "(block)"
}  // namespace objc
