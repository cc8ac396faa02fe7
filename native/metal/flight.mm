#include "metal/flight.h"

#include <algorithm>

#include "metal/metal_device.h"

namespace weightnorm::metal {

namespace {

void answer(const Batch::Read& read, core::FailurePtr failure) {
  if (!failure) failure = read.tensor.storage->failure();
  read.done(failure ? nullptr : metalBuffer(read.tensor).contents(), std::move(failure));
}

}  // namespace

void Flight::add(BatchPtr batch) {
  std::lock_guard lock(mutex_);
  batches_.push_back(std::move(batch));
}

void Flight::finish(const BatchPtr& batch, core::FailurePtr failure) {
  std::unique_lock lock(mutex_);
  batch->finished = true;
  batch->failure = std::move(failure);
  if (retiring_) return;  // that thread will find it
  retiring_ = true;
  while (!batches_.empty() && batches_.front()->finished) {
    const BatchPtr oldest = batches_.front();
    retire(lock, oldest);
  }
  retiring_ = false;
  changed_.notify_all();
}

void Flight::retire(std::unique_lock<std::mutex>& lock, const BatchPtr& batch) {
  Fate& fate = *batch->fate;
  fate.state = batch->failure ? Fate::State::kFailed : Fate::State::kDone;
  fate.failure = batch->failure;
  if (batch->failure) failures_.push_back(batch->failure);
  std::vector<std::weak_ptr<core::Storage>> dependants = std::move(fate.dependants);
  std::vector<Batch::Read> reads = std::move(batch->reads);
  timeline_->complete(fate.serial);
  lock.unlock();

  if (batch->failure) {
    for (const auto& dependant : dependants) {
      if (const core::StoragePtr storage = dependant.lock()) storage->fail(batch->failure);
    }
  }
  for (const Batch::Read& read : reads) answer(read, nullptr);
  reads.clear();
  batch->device->allocator().collect();

  lock.lock();
  batches_.pop_front();
  std::vector<core::Backend::FenceDone> fences = std::move(batch->fences);
  changed_.notify_all();
  for (core::Backend::FenceDone& done : fences) {
    core::FailurePtr failure = takeFailure();
    lock.unlock();
    done(std::move(failure));
    lock.lock();
  }
}

void Flight::waitBelow(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return batches_.size() < count && (count > 1 || !retiring_); });
}

void Flight::derive(const FatePtr& batch, const std::vector<MetalBuffer*>& inputs, MetalBuffer& output, const core::StoragePtr& storage) {
  std::lock_guard lock(mutex_);
  const auto depend = [&](const FatePtr& fate) {
    if (fate->state == Fate::State::kDone) return;
    if (std::find(output.fates.begin(), output.fates.end(), fate) != output.fates.end()) return;
    output.fates.push_back(fate);
    if (!storage) return;
    if (fate->state == Fate::State::kFailed) {
      storage->fail(fate->failure);
    } else {
      fate->dependants.push_back(storage);
    }
  };
  depend(batch);
  for (MetalBuffer* input : inputs) {
    if (input == &output) continue;
    std::erase_if(input->fates, [](const FatePtr& fate) { return fate->state == Fate::State::kDone; });
    for (const FatePtr& fate : input->fates) depend(fate);
  }
}

bool Flight::busy() {
  std::lock_guard lock(mutex_);
  return !batches_.empty();
}

bool Flight::read(const core::Tensor& tensor, core::Backend::ReadDone done, Batch* open) {
  Batch::Read read{tensor, std::move(done)};
  {
    std::lock_guard lock(mutex_);
    uint64_t last = 0;
    for (const FatePtr& fate : metalBuffer(tensor).fates) {
      if (fate->state == Fate::State::kPending) last = std::max(last, fate->serial);
      // Perhaps not yet told by the thread that is retiring it.
      if (fate->state == Fate::State::kFailed) read.tensor.storage->fail(fate->failure);
    }
    if (open && last == open->fate->serial) {
      open->reads.push_back(std::move(read));
      return true;
    }
    for (const BatchPtr& batch : batches_) {
      if (batch->fate->serial != last) continue;
      batch->reads.push_back(std::move(read));
      return false;
    }
  }
  answer(read, nullptr);
  return false;
}

void Flight::fence(core::Backend::FenceDone done) {
  std::unique_lock lock(mutex_);
  if (!batches_.empty()) {
    batches_.back()->fences.push_back(std::move(done));
    return;
  }
  core::FailurePtr failure = takeFailure();
  lock.unlock();
  done(std::move(failure));
}

core::FailurePtr Flight::takeFailure() {
  const auto unobserved = std::find_if(failures_.begin(), failures_.end(), [](const core::FailurePtr& f) { return !f->observed; });
  core::FailurePtr first = unobserved == failures_.end() ? nullptr : *unobserved;
  failures_.clear();
  return first;
}

}  // namespace weightnorm::metal
