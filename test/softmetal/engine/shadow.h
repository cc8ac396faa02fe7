// Memory that kernels may touch, and what is known about each four bytes of it: who wrote and read last, and whether it was written at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace softmetal {

// Epochs grow with every threadgroup and every barrier, so "before" is a comparison.
using Epoch = uint32_t;

struct Cell {
  Epoch writeEpoch;
  uint16_t writeThread;
  uint8_t writeInterval;  // simdgroup barriers passed by the writer
  uint8_t writeMask : 4, initialised : 4;
  Epoch readEpoch;
  uint16_t readThread;
  uint8_t readInterval;
  uint8_t readMask;
};
static_assert(sizeof(Cell) == 16);

// The word that fills new memory: a NaN as float, half and bfloat.
constexpr uint32_t kPoison = 0xffa7fffd;

enum class Tracking {
  kNone,    // contents are always valid
  kPoison,  // the CPU may write unseen: a word is uninitialised while it holds the poison and no kernel wrote it
  kFull,    // only kernels and copies write: every byte is tracked
};

struct Region {
  char* base = nullptr;
  size_t length = 0;
  Cell* cells = nullptr;
  Tracking tracking = Tracking::kNone;
  bool isThreadgroup = false;
  bool isUntracked = false;  // MTLHazardTrackingModeUntracked: encoders are not ordered for it
  uint32_t boundSerial = 0;  // the dispatch that may use it
  Epoch orderedSince = 0;    // accesses before this epoch happened before the current dispatch
  std::string label;
  std::unique_ptr<Cell[]> ownCells;  // of memory outside the arena

  Cell* cellAt(size_t offset) const { return cells + offset / 4; }
  void fillWithPoison();
  void renew();  // contents and shadow as of new memory
  void renewRange(size_t offset, size_t size);
  void markInitialised(size_t offset, size_t size);
  // First byte of a range that is not initialised, or size.
  size_t firstUninitialised(size_t offset, size_t size) const;
};

// Address space for buffers: every region is surrounded by unmapped pages, and freed addresses are not reused soon.
class __attribute__((visibility("hidden"))) Arena {
 public:
  static Arena& instance() { return *instance_; }
  std::unique_ptr<Region> allocate(size_t length);             // null when out of memory
  std::unique_ptr<Region> adopt(void* memory, size_t length);  // memory of the caller
  void release(std::unique_ptr<Region> region);
  // The region around an address, or null; kFreed if its owner is gone.
  Region* find(const void* address) const {
    const size_t offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_);
    return offset < kSize ? granules_[offset >> kGranuleShift] : nullptr;
  }
  bool contains(const void* address) const { return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_) < kSize; }
  static Region* freedMarker() { return &freed_; }

 private:
  Arena();
  static Arena* const instance_;  // made when the library is loaded, never destroyed
  static Region freed_;
  static constexpr size_t kSize = size_t{1} << 38, kGranuleShift = 16, kGranule = size_t{1} << kGranuleShift;
  char* base_;
  char* shadow_;
  Region** granules_;
  size_t top_ = kGranule;
};

}  // namespace softmetal
