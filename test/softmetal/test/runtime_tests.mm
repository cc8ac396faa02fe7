// The Objective-C runtime as ARC code uses it, and what it refuses.
#import <Foundation/Foundation.h>
#include <dispatch/dispatch.h>
#include <objc/runtime.h>

#include <memory>
#include <thread>
#include <vector>

#include "harness.h"
#include "softmetal/control.h"

@protocol Named <NSObject>
@property(readonly) NSString* name;
@optional
- (void)unimplemented;
@end

static int deallocated = 0;

@interface Base : NSObject <Named>
@property(nonatomic, copy) NSString* label;
@property(nonatomic, strong) id other;
@property(nonatomic, weak) Base* observed;
@property(atomic, strong) NSArray* shared;
@end
@implementation Base {
  std::vector<int> _values;  // constructed and destroyed with the object
}
- (instancetype)init {
  if ((self = [super init])) _values = {1, 2, 3};
  return self;
}
- (void)dealloc {
  deallocated++;
}
- (NSString*)name {
  return @"base";
}
- (size_t)valueCount {
  return _values.size();
}
@end

@interface Derived : Base
@end
@implementation Derived {
  std::shared_ptr<int> _number;
}
- (instancetype)init {
  if ((self = [super init])) _number = std::make_shared<int>(7);
  return self;
}
- (NSString*)name {
  return [[super name] stringByAppendingString:@" derived"];
}
- (int)number {
  return *_number;
}
@end

@interface Base (Extra)
- (int)addedByCategory;
@end
@implementation Base (Extra)
- (int)addedByCategory {
  return 11;
}
@end

struct BigResult {
  double values[6];
};
@interface Returner : NSObject
- (BigResult)structure:(double)start;
- (double)sumOf:(double)a and:(float)b and:(int)c and:(long)d and:(double)e;
@end
@implementation Returner
- (BigResult)structure:(double)start {
  return {{start, start + 1, start + 2, start + 3, start + 4, start + 5}};
}
- (double)sumOf:(double)a and:(float)b and:(int)c and:(long)d and:(double)e {
  return a + b + c + d + e;
}
@end

TEST(objects_are_released_with_their_last_reference) {
  deallocated = 0;
  @autoreleasepool {
    Base* object = [[Base alloc] init];
    Base* again = object;
    object = nil;
    CHECK_EQUAL(deallocated, 0);
    CHECK_EQUAL([again valueCount], 3u);
    again = nil;
    CHECK_EQUAL(deallocated, 1);
  }
}

TEST(cxx_structs_and_containers_hold_references) {
  deallocated = 0;
  struct Holder {
    id<Named> named;
    NSArray<NSString*>* texts;
  };
  @autoreleasepool {
    Base* object = [[Base alloc] init];
    auto holder = std::make_unique<Holder>(Holder { object, @[ @"a", @"b" ] });
    std::vector<id<Named>> many{object, object};
    object = nil;
    holder = nullptr;
    CHECK_EQUAL(deallocated, 0);
    many.clear();
  }
  CHECK_EQUAL(deallocated, 1);
}

TEST(methods_are_found_in_superclasses_and_categories) {
  Derived* object = [[Derived alloc] init];
  CHECK([object.name isEqualToString:@"base derived"]);
  CHECK_EQUAL([object number], 7);
  CHECK_EQUAL([object addedByCategory], 11);
  CHECK([object isKindOfClass:[Base class]] && ![[[Base alloc] init] isKindOfClass:[Derived class]]);
  CHECK([object isMemberOfClass:[Derived class]] && [Derived isSubclassOfClass:[Base class]]);
  CHECK([object conformsToProtocol:@protocol(Named)] && ![object conformsToProtocol:@protocol(NSCopying)]);
  CHECK([object respondsToSelector:@selector(addedByCategory)] && ![object respondsToSelector:@selector(unimplemented)]);
  CHECK([Base instancesRespondToSelector:@selector(name)]);
  CHECK(NSClassFromString(@"Derived") == [Derived class] && NSClassFromString(@"Absent") == Nil);
}

TEST(structures_and_floating_point_pass_through_messages) {
  Returner* object = [[Returner alloc] init];
  CHECK_EQUAL([object structure:2].values[5], 7.0);
  CHECK_EQUAL([object sumOf:1 and:2 and:3 and:4 and:5], 15.0);
  Returner* nothing = nil;
  CHECK_EQUAL([nothing sumOf:1 and:2 and:3 and:4 and:5], 0.0);
  CHECK_EQUAL([nothing structure:2].values[5], 0.0);
}

TEST(weak_references_become_nil) {
  Base* watcher = [[Base alloc] init];
  @autoreleasepool {
    Base* target = [[Base alloc] init];
    watcher.observed = target;
    CHECK(watcher.observed == target);
  }
  CHECK(watcher.observed == nil);
}

TEST(weak_references_do_not_revive_objects_from_other_threads) {
  for (int round = 0; round < 200; round++) {
    Base* target = [[Base alloc] init];
    __weak Base* weak = target;
    std::thread reader([weak] {
      @autoreleasepool {
        for (int i = 0; i < 20; i++) {
          Base* strong = weak;
          if (strong) CHECK_EQUAL([strong valueCount], 3u);
        }
      }
    });
    target = nil;
    reader.join();
  }
}

TEST(blocks_capture_copy_and_share) {
  deallocated = 0;
  __block int total = 0;
  @autoreleasepool {
    Base* captured = [[Base alloc] init];
    std::shared_ptr<int> number = std::make_shared<int>(5);
    void (^add)(int) = ^(int x) {
      total += x + *number + (int)[captured valueCount];
    };
    void (^copy)(int) = [add copy];
    add(1);
    copy(2);
    CHECK_EQUAL(number.use_count() > 1, true);
    captured.other = [^{
    } copy];
  }
  CHECK_EQUAL(total, 1 + 2 + 2 * (5 + 3));
  CHECK_EQUAL(deallocated, 1);
}

TEST(cxx_exceptions_release_what_they_pass) {
  deallocated = 0;
  @try {
    Base* object = [[Base alloc] init];
    if ([object valueCount]) throw 42;
  } @catch (...) {
    CHECK_EQUAL(deallocated, 1);
  }
  try {
    @autoreleasepool {
      Base* object = [[Base alloc] init];
      if ([object valueCount]) throw std::string("text");
    }
  } catch (const std::string& text) {
    CHECK_EQUAL(text, "text");
  }
  CHECK_EQUAL(deallocated, 2);
}

TEST(atomic_properties_and_synchronized_serve_several_threads) {
  Base* object = [[Base alloc] init];
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([object, &count] {
      for (int i = 0; i < 200; i++) @autoreleasepool {
          @synchronized(object) {
            count++;
          }
        }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK_EQUAL(count, 800);
}

TEST(availability_is_always_newest_on_linux) {
  bool reached = false;
  if (@available(macOS 99.0, *)) reached = true;
  CHECK(reached);
}

TEST(dispatch_queues_run_in_order) {
  std::vector<int> order;
  auto* list = &order;
  dispatch_queue_t queue = dispatch_queue_create("test", DISPATCH_QUEUE_SERIAL);
  for (int i = 0; i < 5; i++)
    dispatch_async(queue, ^{
      list->push_back(i);
    });
  dispatch_sync(queue, ^{
    list->push_back(5);
  });
  CHECK_EQUAL(order.size(), 6u);
  for (int i = 0; i < 6; i++) CHECK_EQUAL(order[i], i);
  dispatch_semaphore_t semaphore = dispatch_semaphore_create(0);
  CHECK(dispatch_semaphore_wait(semaphore, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_MSEC)) != 0);
  dispatch_semaphore_signal(semaphore);
  CHECK_EQUAL(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER), 0);
}

FATAL_TEST(message_to_a_deallocated_object, "sent to deallocated instance") {
  @autoreleasepool {
    __unsafe_unretained Base* dangling;
    @autoreleasepool {
      Base* object = [[Base alloc] init];
      dangling = object;
    }
    (void)[dangling valueCount];
  }
}

extern "C" void objc_release(void*);
FATAL_TEST(release_once_too_often, "of deallocated Base") {
  Base* object = [[Base alloc] init];
  void* raw = (__bridge_retained void*)object;
  objc_release(raw);
  objc_release(raw);
}
FATAL_TEST(autorelease_without_a_pool, "autoreleased with no pool in place") {
  (void)[NSString stringWithFormat:@"%d", 1];
}
extern "C" void objc_msgSend(void);
FATAL_TEST(unknown_selector, "-[Base absent]: unrecognized selector") {
  @autoreleasepool {
    id object = [[Base alloc] init];
    ((void (*)(id, SEL))objc_msgSend)(object, sel_registerName("absent"));
  }
}
