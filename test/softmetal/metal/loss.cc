#include "loss.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace softmetal {
namespace {

std::atomic<long> lost;
std::atomic<Epoch> completed;
std::mutex hangMutex;
std::condition_variable hangChanged;
unsigned long hangReleases;

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
  completed = epoch;
}

void waitForHangRelease() {
  std::unique_lock lock(hangMutex);
  const unsigned long before = hangReleases;
  hangChanged.wait(lock, [&] { return hangReleases != before; });
}
void releaseHang() {
  std::lock_guard lock(hangMutex);
  hangReleases++;
  hangChanged.notify_all();
}

}  // namespace softmetal
