#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <type_traits>

#include "core/backend.h"
#include "core/blocks.h"

namespace weightnorm::core {

// The ordered queue of one environment on one device: a thread that hands operations to a Backend in the order they
// were submitted. Public methods belong to the environment's thread; callbacks come from any thread.
class Queue {
 public:
  // `queuedLimit` bounds the bytes that submitted, unfinished operations may write.
  Queue(std::shared_ptr<Device> device, uint64_t queuedLimit);
  // Drops what has not started, waits for what has; dropped reads are answered with ERR_STATE.
  ~Queue();

  // Takes a prepared operation (core/prepare.h). Throws ERR_MEMORY past the bound; nothing is queued then.
  // A failure while running fails its outputs; an operation with a failed input is skipped and passes that failure on.
  template <class Op>
  void submit(Op&& op) {
    push(std::make_unique<OpTask<std::decay_t<Op>>>(std::forward<Op>(op)));
  }

  // The tensor's bytes once it is computed, or the failure it depends on (marked observed).
  void read(const Tensor& tensor, Backend::ReadDone done);
  // When all earlier work is done, with the first failure nobody observed (marked observed), or null.
  void synchronize(Backend::FenceDone done);
  // Fills `copy` (fresh, on this queue's device) with `source`, computed on another queue of the same environment.
  // This queue waits for that one; waits only ever point at work submitted earlier, so they cannot form a cycle.
  void receive(const Tensor& source, Queue& from, const Tensor& copy);
  // Submits encoded work without waiting.
  void flush();

  Device& device() const { return *device_; }
  std::shared_ptr<Device> sharedDevice() const { return device_; }

 private:
  struct Task {
    static void* operator new(size_t bytes) { return takeBlock(bytes); }
    static void operator delete(void* task, size_t bytes) { returnBlock(task, bytes); }
    virtual ~Task() = default;
    virtual void run(Queue& queue) = 0;
    virtual void drop() {}
    uint64_t bytes = 0;
  };

  template <class Op>
  struct OpTask : Task {
    template <class From>
    explicit OpTask(From&& from) : op(std::forward<From>(from)) {
      op.visit([](const Tensor&) {}, [this](const Tensor& out) { bytes += out.storage->bytes(); });
    }
    void run(Queue& queue) override {
      FailurePtr failure;
      op.visit(
          [&](const Tensor& in) {
            if (in && !failure) failure = in.storage->failure();
          },
          [](const Tensor&) {});
      if (!failure) failure = queue.attempt([&] { queue.backend_->run(op); });
      if (failure) op.visit([](const Tensor&) {}, [&](const Tensor& out) { out.storage->fail(failure); });
    }
    Op op;
  };

  struct ReadTask;
  struct FenceTask;
  struct FlushTask;
  struct ReceiveTask;

  void push(std::unique_ptr<Task> task);
  void work();
  // Runs `body`; a thrown error becomes a failure that synchronize() will report unless a read does first.
  FailurePtr attempt(const std::function<void()>& body);
  FailurePtr takeUnobserved();

  std::shared_ptr<Device> device_;
  const uint64_t queuedLimit_;
  std::unique_ptr<Backend> backend_;  // [queue thread]
  std::vector<FailurePtr> failures_;  // [queue thread]

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> pushed_{0};  // tasks ever; the thread polls it before it sleeps
  std::deque<std::unique_ptr<Task>> tasks_;
  uint64_t queuedBytes_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weightnorm::core
