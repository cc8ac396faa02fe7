// The part of libdispatch that Metal's declarations mention: serial queues, semaphores, data.
#import "internal.h"

#include <dispatch/dispatch.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "../objc/runtime.h"

namespace {
using Clock = std::chrono::steady_clock;

// Shared with the worker thread, which may hold the last reference to its own queue.
struct Work {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> items;
  bool stopping = false;
};

void serve(const std::shared_ptr<Work>& work) {
  for (;;) {
    std::function<void()> item;
    {
      std::unique_lock lock(work->mutex);
      work->changed.wait(lock, [&] { return work->stopping || !work->items.empty(); });
      if (work->items.empty()) return;
      item = std::move(work->items.front());
      work->items.pop_front();
    }
    @autoreleasepool {
      item();
    }
  }
}
}  // namespace

@interface SMDispatchQueue : NSObject <OS_dispatch_queue> {
 @public
  std::shared_ptr<Work> _work;
  std::thread _thread;
}
@end
@implementation SMDispatchQueue
- (instancetype)init {
  if ((self = [super init])) {
    _work = std::make_shared<Work>();
    _thread = std::thread([work = _work] { serve(work); });
  }
  return self;
}
- (void)dealloc {
  {
    std::lock_guard lock(_work->mutex);
    _work->stopping = true;
  }
  _work->changed.notify_all();
  if (_thread.get_id() == std::this_thread::get_id())
    _thread.detach();
  else
    _thread.join();
  [super dealloc];
}
- (void)add:(std::function<void()>)item {
  {
    std::lock_guard lock(_work->mutex);
    _work->items.push_back(std::move(item));
  }
  _work->changed.notify_one();
}
@end

@interface SMSemaphore : NSObject <OS_dispatch_semaphore> {
 @public
  std::mutex _mutex;
  std::condition_variable _changed;
  intptr_t _value;
}
@end
@implementation SMSemaphore
@end

@interface SMDispatchData : NSObject <OS_dispatch_data> {
 @public
  NSData* _bytes;
}
@end
@implementation SMDispatchData
- (void)dealloc {
  [_bytes release];
  [super dealloc];
}
@end

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
  const auto now = (uint64_t)std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
  return (when == DISPATCH_TIME_NOW ? now : when) + delta;
}

dispatch_queue_t dispatch_queue_create(const char* label, dispatch_queue_attr_t attributes) {
  return [[SMDispatchQueue alloc] init];
}
void dispatch_async(dispatch_queue_t queue, dispatch_block_t block) {
  dispatch_block_t copy = (dispatch_block_t)_Block_copy((void*)block);
  [(SMDispatchQueue*)queue add:[copy] {
    copy();
    _Block_release((void*)copy);
  }];
}
void dispatch_sync(dispatch_queue_t queue, __attribute__((noescape)) dispatch_block_t block) {
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  dispatch_block_t local = block;
  [(SMDispatchQueue*)queue add:[local, done] {
    local();
    dispatch_semaphore_signal(done);
  }];
  dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
  [done release];
}

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
  SMSemaphore* semaphore = [[SMSemaphore alloc] init];
  semaphore->_value = value;
  return semaphore;
}
intptr_t dispatch_semaphore_wait(dispatch_semaphore_t object, dispatch_time_t timeout) {
  auto* semaphore = (SMSemaphore*)object;
  std::unique_lock lock(semaphore->_mutex);
  const auto ready = [&] { return semaphore->_value > 0; };
  if (timeout == DISPATCH_TIME_FOREVER)
    semaphore->_changed.wait(lock, ready);
  else if (!semaphore->_changed.wait_until(lock, Clock::time_point(std::chrono::nanoseconds(timeout)), ready))
    return 1;
  semaphore->_value--;
  return 0;
}
intptr_t dispatch_semaphore_signal(dispatch_semaphore_t object) {
  auto* semaphore = (SMSemaphore*)object;
  std::lock_guard lock(semaphore->_mutex);
  semaphore->_value++;
  semaphore->_changed.notify_one();
  return 0;
}

static void freeMarker(void) {}
const dispatch_block_t _dispatch_data_destructor_free = ^{
  freeMarker();
};
dispatch_data_t dispatch_data_create(const void* buffer, size_t size, dispatch_queue_t queue, dispatch_block_t destructor) {
  SMDispatchData* data = [[SMDispatchData alloc] init];
  data->_bytes = [[NSData alloc] initWithBytes:buffer length:size];
  if (destructor == _dispatch_data_destructor_free)
    free(const_cast<void*>(buffer));
  else if (destructor)
    destructor();
  return data;
}
size_t dispatch_data_get_size(dispatch_data_t data) {
  return [((SMDispatchData*)data)->_bytes length];
}
