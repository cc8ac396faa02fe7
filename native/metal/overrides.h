#pragma once

#include <cstdint>

namespace weightnorm::metal {

// Choices that depend on the system or on huge sizes, in one place so that tests can force every path.
struct Overrides {
  int systemMajor = 0;                          // pretend to be this macOS major version; 0: the real one
  bool wideIndices = false;                     // 64-bit index arithmetic whatever the size
  uint64_t maxGridThreads = uint64_t{1} << 30;  // kernels loop over what is beyond
  int maxOps = 48;                              // operations a command buffer
  uint64_t maxBytes = uint64_t{48} << 20;       // bytes bound a command buffer
  // Told of idle memory that is handed out again, whose old content nobody may read.
  void (*recycled)(void* contents, uint64_t bytes) = nullptr;
  bool exactSizes = false;  // no size classes: what is beyond a tensor is beyond its buffer, where the software Metal sees it
  int maxInFlight = 16;     // uncompleted command buffers a queue; Metal blocks at 64
};

// Read by every thread; a test changes it only while no queue runs.
Overrides& overrides();

// True on that macOS major version or a later one. Pair it with @available, which alone tests cannot force.
bool systemAtLeast(int major);

}  // namespace weightnorm::metal
