// State shared by all queues: whether the device still takes work, what has completed, and hung command buffers.
#pragma once
#include "../engine/shadow.h"

namespace softmetal {

long lostCode();  // MTLCommandBufferError of everything from now on, or 0
void loseDevice(long code);
void restoreDevice();

Epoch completedEpoch();
void setCompletedEpoch(Epoch epoch);

void waitForHangRelease();
void releaseHang();

}  // namespace softmetal
