// The root class, and the classes of blocks.
#include "../objc/runtime.h"
#import "internal.h"

#include <objc/runtime.h>

static ObjcClass* runtimeClass(Class cls) {
  return (ObjcClass*)cls;
}

@implementation NSObject
+ (instancetype)alloc {
  return (id)class_createInstance(runtimeClass(self), 0);
}
+ (instancetype)allocWithZone:(struct _NSZone*)zone {
  return [self alloc];
}
+ (instancetype)new {
  return [[self alloc] init];
}
+ (Class)class {
  return self;
}
+ (Class)superclass {
  return (Class)runtimeClass(self)->superclass;
}
+ (void)load {
}
+ (void)initialize {
}
+ (BOOL)conformsToProtocol:(Protocol*)protocol {
  return softmetal_objc_conforms(runtimeClass(self), (ObjcProtocol*)protocol);
}
+ (BOOL)instancesRespondToSelector:(SEL)selector {
  return softmetal_objc_find_method(runtimeClass(self), sel_getName(selector)) != nullptr;
}
+ (BOOL)isSubclassOfClass:(Class)cls {
  for (ObjcClass* c = runtimeClass(self); c; c = c->superclass)
    if (c == runtimeClass(cls)) return YES;
  return NO;
}
- (instancetype)init {
  return self;
}
- (void)dealloc {
  softmetal_objc_dispose(self);
}
- (id)copy {
  return [(id<NSCopying>)self copyWithZone:nil];
}
- (id)mutableCopy {
  return [(id<NSMutableCopying>)self mutableCopyWithZone:nil];
}
- (BOOL)isEqual:(id)object {
  return object == self;
}
- (NSUInteger)hash {
  return (NSUInteger)self >> 4;
}
- (Class)superclass {
  return (Class)runtimeClass(isa)->superclass;
}
- (Class)class {
  return isa;
}
- (instancetype)self {
  return self;
}
- (BOOL)isKindOfClass:(Class)cls {
  return softmetal_objc_is_kind(self, runtimeClass(cls));
}
- (BOOL)isMemberOfClass:(Class)cls {
  return isa == cls;
}
- (BOOL)conformsToProtocol:(Protocol*)protocol {
  return softmetal_objc_conforms(runtimeClass(isa), (ObjcProtocol*)protocol);
}
- (BOOL)respondsToSelector:(SEL)selector {
  return softmetal_objc_find_method(runtimeClass(isa), sel_getName(selector)) != nullptr;
}
- (instancetype)retain {
  return (id)objc_retain(self);
}
- (oneway void)release {
  objc_release(self);
}
- (instancetype)autorelease {
  return (id)objc_autorelease(self);
}
- (NSUInteger)retainCount {
  return softmetal_objc_retain_count(self);
}
- (NSString*)description {
  return [NSString stringWithFormat:@"<%s: %p>", class_getName(isa), (void*)self];
}
- (void)doesNotRecognizeSelector:(SEL)selector {
  softmetal_objc_fatal("-[%s %s]: unrecognized selector", class_getName(isa), sel_getName(selector));
}
@end

@interface NSBlock : NSObject
@end
@implementation NSBlock
- (id)copy {
  return (id)_Block_copy(self);
}
@end
@interface __NSStackBlock__ : NSBlock
@end
@implementation __NSStackBlock__
@end
@interface __NSGlobalBlock__ : NSBlock
@end
@implementation __NSGlobalBlock__
@end
@interface __NSMallocBlock__ : NSBlock
@end
@implementation __NSMallocBlock__
@end

@implementation NSAutoreleasePool {
  void* _token;
}
- (instancetype)init {
  if ((self = [super init])) _token = objc_autoreleasePoolPush();
  return self;
}
- (void)drain {
  objc_autoreleasePoolPop(_token);
  [self release];
}
@end

// The symbols under which the compiler refers to the classes of blocks.
__asm__(".globl _NSConcreteStackBlock\n"
        ".set _NSConcreteStackBlock, OBJC_CLASS_$___NSStackBlock__\n"
        ".globl _NSConcreteGlobalBlock\n"
        ".set _NSConcreteGlobalBlock, OBJC_CLASS_$___NSGlobalBlock__\n"
        ".globl _NSConcreteMallocBlock\n"
        ".set _NSConcreteMallocBlock, OBJC_CLASS_$___NSMallocBlock__\n"
        ".weak __objc_personality_v0\n"
        ".set __objc_personality_v0, __gxx_personality_v0\n");
