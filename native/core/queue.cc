#include "core/queue.h"

#include <cstring>
#include <new>

#include "core/spin.h"

namespace weightnorm::core {

namespace {
// What a queued operation costs besides its outputs; keeps a loop over tiny tensors bounded too.
constexpr uint64_t kTaskBytes = 1024;
}  // namespace

struct Queue::ReadTask : Task {
  ReadTask(Tensor t, Backend::ReadDone d) : tensor(std::move(t)), done(std::move(d)) {}
  void run(Queue& queue) override {
    FailurePtr failure = tensor.storage->failure();
    if (!failure) {
      failure = queue.attempt([&] {
        queue.backend_->read(tensor, [done = done](const void* data, FailurePtr late) {
          if (late) late->observed = true;
          done(late ? nullptr : data, std::move(late));
        });
      });
      if (!failure) return;
    }
    failure->observed = true;
    done(nullptr, std::move(failure));
  }
  void drop() override { done(nullptr, std::make_shared<Failure>(Error(Code::kState, "the environment is shutting down"))); }
  Tensor tensor;
  Backend::ReadDone done;
};

struct Queue::FenceTask : Task {
  explicit FenceTask(Backend::FenceDone d) : done(std::move(d)) {}
  void run(Queue& queue) override {
    // Taken when the fence is reached: failures of earlier operations belong to it, later ones do not.
    FailurePtr mine = queue.takeUnobserved();
    const FailurePtr thrown = queue.attempt([&] {
      queue.backend_->fence([done = done, mine](FailurePtr late) {
        FailurePtr first = mine ? mine : late;
        if (first) first->observed = true;
        done(std::move(first));
      });
    });
    if (!thrown) return;
    thrown->observed = true;
    done(mine ? mine : thrown);
  }
  void drop() override { done(std::make_shared<Failure>(Error(Code::kState, "the environment is shutting down"))); }
  Backend::FenceDone done;
};

struct Queue::FlushTask : Task {
  void run(Queue& queue) override {
    queue.attempt([&] { queue.backend_->flush(); });
  }
};

struct Queue::ReceiveTask : Task {
  struct Parcel {
    std::mutex mutex;
    std::condition_variable settled;
    bool done = false;
    HostBytes data;
    FailurePtr failure;
  };
  explicit ReceiveTask(Tensor t) : copy(std::move(t)) { bytes += copy.storage->bytes(); }
  void run(Queue& queue) override {
    std::unique_lock lock(parcel->mutex);
    parcel->settled.wait(lock, [this] { return parcel->done; });
    FailurePtr failure = parcel->failure;
    if (!failure) {
      UploadOp op{copy, parcel->data};
      failure = queue.attempt([&] { queue.backend_->run(op); });
    }
    if (failure) copy.storage->fail(failure);
  }
  Tensor copy;
  std::shared_ptr<Parcel> parcel = std::make_shared<Parcel>();
};

Queue::Queue(std::shared_ptr<Device> device, uint64_t queuedLimit) : device_(std::move(device)), queuedLimit_(queuedLimit) {}

Queue::~Queue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (auto& task : tasks_) task->drop();
}

void Queue::read(const Tensor& tensor, Backend::ReadDone done) {
  push(std::make_unique<ReadTask>(tensor, std::move(done)));
}

void Queue::synchronize(Backend::FenceDone done) {
  push(std::make_unique<FenceTask>(std::move(done)));
}

void Queue::receive(const Tensor& source, Queue& from, const Tensor& copy) {
  auto task = std::make_unique<ReceiveTask>(copy);
  from.read(source, [parcel = task->parcel, size = source.bytes()](const void* data, FailurePtr failure) {
    std::lock_guard lock(parcel->mutex);
    if (data) {
      const std::shared_ptr<std::byte[]> bytes = hostBytes(size);
      std::memcpy(bytes.get(), data, size);
      parcel->data = bytes;
    }
    // The copy passes the failure on; nobody has been told of it yet.
    if (failure) failure->observed = false;
    parcel->failure = std::move(failure);
    parcel->done = true;
    parcel->settled.notify_one();
  });
  push(std::move(task));
}

void Queue::flush() {
  push(std::make_unique<FlushTask>());
}

void Queue::push(std::unique_ptr<Task> task) {
  task->bytes += kTaskBytes;
  {
    const std::unique_lock lock = acquire(mutex_);
    if (task->bytes > queuedLimit_ - queuedBytes_) {
      throw Error(Code::kMemory, format("%llu bytes of work are queued and %llu more would pass the bound of %llu: await a read or "
                                        "synchronize() before queueing more, or raise WEIGHTNORM_QUEUE_LIMIT",
                                        static_cast<unsigned long long>(queuedBytes_), static_cast<unsigned long long>(task->bytes),
                                        static_cast<unsigned long long>(queuedLimit_)));
    }
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    queuedBytes_ += task->bytes;
    tasks_.push_back(std::move(task));
    pushed_.fetch_add(1, std::memory_order_relaxed);
  }
  wake_.notify_one();
}

void Queue::work() {
  backend_ = device_->createBackend();
  std::unique_lock lock = acquire(mutex_);
  for (;;) {
    if (tasks_.empty() && !stopping_) {
      // The next call often comes within microseconds, less than the caller would spend on waking this thread.
      const uint64_t pushed = pushed_.load(std::memory_order_relaxed);
      lock.unlock();
      spin(kSpinMicroseconds, [&] { return pushed_.load(std::memory_order_relaxed) != pushed; });
      lock = acquire(mutex_);
    }
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) break;
    std::unique_ptr<Task> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    const uint64_t bytes = task->bytes;
    task->run(*this);
    task.reset();
    lock = acquire(mutex_);
    queuedBytes_ -= bytes;
  }
  lock.unlock();
  backend_.reset();
}

FailurePtr Queue::attempt(const std::function<void()>& body) {
  FailurePtr failure;
  try {
    body();
    return nullptr;
  } catch (const Error& error) {
    failure = std::make_shared<Failure>(error);
  } catch (const std::bad_alloc&) {
    failure = std::make_shared<Failure>(Error(Code::kMemory, "out of memory while running an operation"));
  } catch (const std::exception& error) {
    failure = std::make_shared<Failure>(Error(Code::kExecution, error.what()));
  }
  failures_.push_back(failure);
  return failure;
}

FailurePtr Queue::takeUnobserved() {
  FailurePtr first;
  for (const FailurePtr& failure : failures_) {
    if (!failure->observed) {
      first = failure;
      break;
    }
  }
  failures_.clear();
  return first;
}

}  // namespace weightnorm::core
