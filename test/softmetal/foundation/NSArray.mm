// Arrays, mutable or not, over one vector of strong references.
#import "internal.h"

#include <algorithm>
#include <vector>

extern "C" void objc_msgSend(void);

@implementation NSEnumerator
- (id)nextObject {
  return nil;
}
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state objects:(id __unsafe_unretained[])buffer count:(NSUInteger)count {
  return 0;
}
@end

@implementation NSArray {
 @protected
  std::vector<id> _objects;
  unsigned long _mutations;
}
+ (instancetype)array {
  return [[[self alloc] init] autorelease];
}
+ (instancetype)arrayWithObject:(id)object {
  return [[[self alloc] initWithObjects:&object count:1] autorelease];
}
+ (instancetype)arrayWithObjects:(const id[])objects count:(NSUInteger)count {
  return [[[self alloc] initWithObjects:objects count:count] autorelease];
}
+ (instancetype)arrayWithArray:(NSArray*)array {
  return [[[self alloc] initWithObjects:array->_objects.data() count:array->_objects.size()] autorelease];
}
- (instancetype)init {
  return [super init];
}
- (instancetype)initWithObjects:(const id[])objects count:(NSUInteger)count {
  if ((self = [super init]))
    for (NSUInteger i = 0; i < count; i++) {
      if (!objects[i]) softmetal_objc_fatal("nil object at index %lu of a new NSArray", i);
      _objects.push_back([objects[i] retain]);
    }
  return self;
}
- (void)dealloc {
  for (id object : _objects) [object release];
  [super dealloc];
}
- (NSUInteger)count {
  return _objects.size();
}
- (id)objectAtIndex:(NSUInteger)index {
  if (index >= _objects.size()) softmetal_objc_fatal("NSArray index %lu beyond count %lu", index, _objects.size());
  return _objects[index];
}
- (id)objectAtIndexedSubscript:(NSUInteger)index {
  return [self objectAtIndex:index];
}
- (id)firstObject {
  return _objects.empty() ? nil : _objects.front();
}
- (id)lastObject {
  return _objects.empty() ? nil : _objects.back();
}
- (NSUInteger)indexOfObject:(id)object {
  for (NSUInteger i = 0; i < _objects.size(); i++)
    if ([_objects[i] isEqual:object]) return i;
  return NSNotFound;
}
- (BOOL)containsObject:(id)object {
  return [self indexOfObject:object] != (NSUInteger)NSNotFound;
}
- (NSArray*)arrayByAddingObject:(id)object {
  NSMutableArray* copy = [NSMutableArray arrayWithArray:self];
  [copy addObject:object];
  return copy;
}
- (BOOL)isEqualToArray:(NSArray*)other {
  if ([other count] != _objects.size()) return NO;
  for (NSUInteger i = 0; i < _objects.size(); i++)
    if (![_objects[i] isEqual:[other objectAtIndex:i]]) return NO;
  return YES;
}
- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSArray class]] && [self isEqualToArray:object];
}
- (NSString*)componentsJoinedByString:(NSString*)separator {
  std::string text;
  for (NSUInteger i = 0; i < _objects.size(); i++)
    text += (i ? std::string([separator UTF8String]) : "") + [[_objects[i] description] UTF8String];
  return foundation::makeString(text);
}
- (NSString*)description {
  return [NSString stringWithFormat:@"(%@)", [self componentsJoinedByString:@", "]];
}
- (NSArray*)sortedArrayUsingSelector:(SEL)comparator {
  NSMutableArray* copy = [NSMutableArray arrayWithArray:self];
  NSArray* result = copy;
  std::stable_sort(result->_objects.begin(), result->_objects.end(), [comparator](id a, id b) {
    return ((NSComparisonResult(*)(id, SEL, id))objc_msgSend)(a, comparator, b) == NSOrderedAscending;
  });
  return result;
}
- (id)copyWithZone:(NSZone*)zone {
  return [[NSArray alloc] initWithObjects:_objects.data() count:_objects.size()];
}
- (id)mutableCopyWithZone:(NSZone*)zone {
  return [[NSMutableArray alloc] initWithObjects:_objects.data() count:_objects.size()];
}
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state objects:(id __unsafe_unretained[])buffer count:(NSUInteger)count {
  if (state->state) return 0;
  state->state = 1;
  state->itemsPtr = _objects.data();
  state->mutationsPtr = &_mutations;
  return _objects.size();
}
@end

@implementation NSMutableArray
+ (instancetype)arrayWithCapacity:(NSUInteger)capacity {
  return [self array];
}
- (void)addObject:(id)object {
  [self insertObject:object atIndex:_objects.size()];
}
- (void)insertObject:(id)object atIndex:(NSUInteger)index {
  if (!object || index > _objects.size()) softmetal_objc_fatal("-[NSMutableArray insertObject:atIndex:]: nil or index %lu", index);
  _mutations++;
  _objects.insert(_objects.begin() + index, [object retain]);
}
- (void)removeObjectAtIndex:(NSUInteger)index {
  id object = [self objectAtIndex:index];
  _mutations++;
  _objects.erase(_objects.begin() + index);
  [object release];
}
- (void)removeLastObject {
  [self removeObjectAtIndex:_objects.size() - 1];
}
- (void)removeObject:(id)object {
  [object retain];
  for (NSUInteger i; (i = [self indexOfObject:object]) != (NSUInteger)NSNotFound;) [self removeObjectAtIndex:i];
  [object release];
}
- (void)removeAllObjects {
  while (!_objects.empty()) [self removeLastObject];
}
- (void)setObject:(id)object atIndexedSubscript:(NSUInteger)index {
  if (index == _objects.size()) return [self addObject:object];
  id old = [self objectAtIndex:index];
  _objects[index] = [object retain];
  [old release];
}
@end

// @[] refers to this symbol.
extern "C" {
NSArray* __NSArray0__;
}
__attribute__((constructor(102))) static void makeEmptyArray() {
  __NSArray0__ = [[NSArray alloc] init];
}
