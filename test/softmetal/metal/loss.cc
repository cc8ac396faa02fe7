#include "loss.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

namespace softmetal {
namespace {

std::atomic<long> lost;
std::atomic<Epoch> completed;
// Never destroyed: a command buffer may still hang when the process ends.
struct Hang {
  std::mutex mutex;
  std::condition_variable changed;
  unsigned long releases = 0;
};
Hang& hang() {
  static auto* instance = new Hang;
  return *instance;
}

}  // namespace

long lostCode() {
  return lost;
}
void loseDevice(long code) {
  lost = code;
}
void restoreDevice() {
  lost = 0;
}

Epoch completedEpoch() {
  return completed;
}
void setCompletedEpoch(Epoch epoch) {
  completed = std::max<Epoch>(completed, epoch);
}

void waitForHangRelease() {
  std::unique_lock lock(hang().mutex);
  const unsigned long before = hang().releases;
  hang().changed.wait(lock, [&] { return hang().releases != before; });
}
void releaseHang() {
  std::lock_guard lock(hang().mutex);
  hang().releases++;
  hang().changed.notify_all();
}

}  // namespace softmetal
