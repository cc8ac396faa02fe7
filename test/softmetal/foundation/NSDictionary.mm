// Dictionaries and sets. Keys are compared with -isEqual:, in insertion order: small collections only.
#import "internal.h"

#include <vector>

struct Entry {
  id key, value;
};

@implementation NSDictionary {
 @protected
  std::vector<Entry> _entries;
  std::vector<id> _keys;  // the same keys, contiguous for fast enumeration
  unsigned long _mutations;
}
+ (instancetype)dictionary {
  return [[[self alloc] init] autorelease];
}
+ (instancetype)dictionaryWithObject:(id)object forKey:(id<NSCopying>)key {
  return [[[self alloc] initWithObjects:&object forKeys:&key count:1] autorelease];
}
+ (instancetype)dictionaryWithObjects:(const id[])objects forKeys:(const id<NSCopying>[])keys count:(NSUInteger)count {
  return [[[self alloc] initWithObjects:objects forKeys:keys count:count] autorelease];
}
- (instancetype)init {
  return [super init];
}
- (instancetype)initWithObjects:(const id[])objects forKeys:(const id<NSCopying>[])keys count:(NSUInteger)count {
  if ((self = [super init]))
    for (NSUInteger i = 0; i < count; i++) [self put:objects[i] forKey:keys[i]];
  return self;
}
- (void)dealloc {
  for (Entry& entry : _entries) {
    [entry.key release];
    [entry.value release];
  }
  [super dealloc];
}
- (void)put:(id)object forKey:(id)key {
  if (!object || !key) softmetal_objc_fatal("nil %s put into an NSDictionary", key ? "object" : "key");
  [object retain];
  for (Entry& entry : _entries)
    if ([entry.key isEqual:key]) {
      [entry.value release];
      entry.value = object;
      return;
    }
  _mutations++;
  _entries.push_back({[key copy], object});
  _keys.push_back(_entries.back().key);
}
- (NSUInteger)count {
  return _entries.size();
}
- (id)objectForKey:(id)key {
  for (Entry& entry : _entries)
    if ([entry.key isEqual:key]) return entry.value;
  return nil;
}
- (id)objectForKeyedSubscript:(id)key {
  return [self objectForKey:key];
}
- (NSArray*)allKeys {
  return [NSArray arrayWithObjects:_keys.data() count:_keys.size()];
}
- (NSArray*)allValues {
  NSMutableArray* values = [NSMutableArray array];
  for (Entry& entry : _entries) [values addObject:entry.value];
  return values;
}
- (NSString*)description {
  std::string text = "{";
  for (Entry& entry : _entries)
    text += std::string(" ") + [[entry.key description] UTF8String] + " = " + [[entry.value description] UTF8String] + ";";
  return foundation::makeString(text + " }");
}
- (id)copyOfClass:(Class)cls {
  NSDictionary* copy = [[cls alloc] init];
  for (Entry& entry : _entries) [copy put:entry.value forKey:entry.key];
  return copy;
}
- (id)copyWithZone:(NSZone*)zone {
  return [self copyOfClass:[NSDictionary class]];
}
- (id)mutableCopyWithZone:(NSZone*)zone {
  return [self copyOfClass:[NSMutableDictionary class]];
}
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state objects:(id __unsafe_unretained[])buffer count:(NSUInteger)count {
  if (state->state) return 0;
  state->state = 1;
  state->itemsPtr = _keys.data();
  state->mutationsPtr = &_mutations;
  return _keys.size();
}
@end

@implementation NSMutableDictionary
+ (instancetype)dictionaryWithCapacity:(NSUInteger)capacity {
  return [self dictionary];
}
- (void)setObject:(id)object forKey:(id<NSCopying>)key {
  [self put:object forKey:key];
}
- (void)setObject:(id)object forKeyedSubscript:(id<NSCopying>)key {
  if (object)
    [self put:object forKey:key];
  else
    [self removeObjectForKey:key];
}
- (void)removeObjectForKey:(id)key {
  for (NSUInteger i = 0; i < _entries.size(); i++) {
    if (![_entries[i].key isEqual:key]) continue;
    const Entry entry = _entries[i];
    _mutations++;
    _entries.erase(_entries.begin() + i);
    _keys.erase(_keys.begin() + i);
    [entry.key release];
    [entry.value release];
    return;
  }
}
- (void)removeAllObjects {
  while (!_keys.empty()) [self removeObjectForKey:_keys.back()];
}
@end

@implementation NSSet {
 @protected
  NSMutableArray* _members;
}
+ (instancetype)set {
  return [[[self alloc] init] autorelease];
}
+ (instancetype)setWithArray:(NSArray*)array {
  NSSet* set = [self set];
  for (id object in array) [set insert:object];
  return (id)set;
}
- (instancetype)init {
  return [self initWithObjects:nil count:0];
}
- (instancetype)initWithObjects:(const id[])objects count:(NSUInteger)count {
  if ((self = [super init])) {
    _members = [[NSMutableArray alloc] init];
    for (NSUInteger i = 0; i < count; i++) [self insert:objects[i]];
  }
  return self;
}
- (void)dealloc {
  [_members release];
  [super dealloc];
}
- (void)insert:(id)object {
  if (![_members containsObject:object]) [_members addObject:object];
}
- (NSUInteger)count {
  return [_members count];
}
- (NSArray*)allObjects {
  return [NSArray arrayWithArray:_members];
}
- (BOOL)containsObject:(id)object {
  return [_members containsObject:object];
}
- (id)anyObject {
  return [_members firstObject];
}
- (id)copyWithZone:(NSZone*)zone {
  return [[NSSet setWithArray:_members] retain];
}
- (id)mutableCopyWithZone:(NSZone*)zone {
  return [[NSMutableSet setWithArray:_members] retain];
}
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state objects:(id __unsafe_unretained[])buffer count:(NSUInteger)count {
  return [_members countByEnumeratingWithState:state objects:buffer count:count];
}
@end

@implementation NSMutableSet
- (void)addObject:(id)object {
  [self insert:object];
}
- (void)removeObject:(id)object {
  [_members removeObject:object];
}
- (void)removeAllObjects {
  [_members removeAllObjects];
}
@end

// @{} refers to this symbol.
extern "C" {
NSDictionary* __NSDictionary0__;
}
__attribute__((constructor(102))) static void makeEmptyDictionary() {
  __NSDictionary0__ = [[NSDictionary alloc] init];
}
