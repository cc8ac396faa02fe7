#pragma once

#include <algorithm>
#include <cstdint>

namespace weightnorm::cpu {

inline int64_t divideUp(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
inline int64_t roundUp(int64_t a, int64_t b) {
  return divideUp(a, b) * b;
}

// Tasks a thread beyond which an uneven share of them costs little.
constexpr int64_t kManyTasks = 16;
// Packed weights, in floats, that each thread may read for itself: half of a second-level cache.
constexpr int64_t kOwnWeights = int64_t{1} << 18;

// The least number of chunks, at least `chunks`, of which `images` times as many are shared evenly by the threads.
inline int64_t evenChunks(int64_t chunks, int64_t images, int threads) {
  if (chunks * images >= kManyTasks * threads) return chunks;
  return divideUp(roundUp(chunks * images, threads), images);
}

// The tasks of a convolution: chunks of its outputs in time, times parts of its channel blocks where the chunks alone
// do not occupy the threads. A thread prepares the input of a chunk for itself: fetching it from another core's cache
// takes as long. Weights too large for that are divided among the threads instead.
struct ConvTasks {
  ConvTasks() = default;
  ConvTasks(int64_t allChunks, int64_t channelBlocks, int64_t weights, int threads)
      : chunks(allChunks), blocks(channelBlocks), divided(weights > kOwnWeights) {
    if (threads == 1 || chunks >= kManyTasks * threads || (!divided && chunks % threads == 0)) return;
    splits = divided ? threads : divideUp(threads, chunks);
    while (chunks * splits % threads != 0) ++splits;
    splits = std::min(splits, blocks);
  }

  int64_t count() const { return chunks * splits; }
  int64_t chunk(int64_t task) const { return divided ? task % chunks : task / splits; }
  // The channel blocks [first, last) of a task.
  int64_t firstBlock(int64_t task) const { return blocks * split(task) / splits; }
  int64_t lastBlock(int64_t task) const { return blocks * (split(task) + 1) / splits; }

 private:
  int64_t split(int64_t task) const { return divided ? task / chunks : task % splits; }

  int64_t chunks = 1, blocks = 1, splits = 1;
  bool divided = false;
};

}  // namespace weightnorm::cpu
