#include "shadow.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace softmetal {
namespace {

constexpr size_t kShadowScale = sizeof(Cell) / 4;

std::mutex& arenaMutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

// Freed address ranges by size, oldest first; used again only when fresh addresses run out.
std::multimap<size_t, size_t>& freedRanges() {
  static auto* ranges = new std::multimap<size_t, size_t>;
  return *ranges;
}

char* reserve(size_t size, int protection) {
  void* memory = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("softmetal: cannot reserve address space");
    abort();
  }
  return static_cast<char*>(memory);
}

}  // namespace

void Region::fillWithPoison() {
  auto* words = reinterpret_cast<uint32_t*>(base);
  std::fill(words, words + length / 4, kPoison);
  memcpy(base + length / 4 * 4, &kPoison, length % 4);
}

void Region::renew() {
  fillWithPoison();
  memset(static_cast<void*>(cells), 0, (length + 3) / 4 * sizeof(Cell));
}

void Region::renewRange(size_t offset, size_t size) {
  for (size_t i = offset; i < offset + size; i++) {
    base[i] = reinterpret_cast<const char*>(&kPoison)[i % 4];
    cellAt(i)->initialised &= ~(1 << i % 4);
  }
}

void Region::markInitialised(size_t offset, size_t size) {
  for (size_t i = offset; i < offset + size;) {
    Cell* cell = cellAt(i);
    if (i % 4 == 0 && i + 4 <= offset + size) {
      cell->initialised = 0xf;
      i += 4;
    } else {
      cell->initialised |= 1 << i % 4;
      i++;
    }
  }
}

size_t Region::firstUninitialised(size_t offset, size_t size) const {
  if (tracking == Tracking::kNone) return size;
  for (size_t i = 0; i < size; i++) {
    const size_t at = offset + i;
    if (cellAt(at)->initialised >> at % 4 & 1) continue;
    if (tracking == Tracking::kFull) return i;
    const size_t word = at / 4 * 4;
    if (word + 4 <= length && !memcmp(base + word, &kPoison, 4)) return i;
  }
  return size;
}

Region Arena::freed_;
Arena* const Arena::instance_ = new Arena;

Arena::Arena()
    : base_(reserve(kSize, PROT_NONE)),
      shadow_(reserve(kSize * kShadowScale, PROT_READ | PROT_WRITE)),
      granules_(reinterpret_cast<Region**>(reserve(sizeof(Region*) * (kSize >> kGranuleShift), PROT_READ | PROT_WRITE))) {}

std::unique_ptr<Region> Arena::allocate(size_t length) {
  const size_t body = (length + kGranule - 1) / kGranule * kGranule, span = body + kGranule;
  size_t offset;
  {
    std::lock_guard lock(arenaMutex());
    if (top_ + span <= kSize) {
      offset = top_;
      top_ += span;
    } else {
      auto found = freedRanges().lower_bound(span);
      if (found == freedRanges().end()) return nullptr;
      offset = found->second;
      freedRanges().erase(found);
    }
  }
  if (mprotect(base_ + offset, body, PROT_READ | PROT_WRITE)) return nullptr;
  auto region = std::make_unique<Region>();
  region->base = base_ + offset;
  region->length = length;
  region->cells = reinterpret_cast<Cell*>(shadow_ + offset * kShadowScale);
  for (size_t i = 0; i < body / kGranule; i++) granules_[(offset >> kGranuleShift) + i] = region.get();
  return region;
}

std::unique_ptr<Region> Arena::adopt(void* memory, size_t length) {
  auto region = std::make_unique<Region>();
  region->base = static_cast<char*>(memory);
  region->length = length;
  region->ownCells = std::make_unique<Cell[]>((length + 3) / 4);
  region->cells = region->ownCells.get();
  return region;
}

void Arena::release(std::unique_ptr<Region> region) {
  if (region->ownCells) return;
  const size_t body = (region->length + kGranule - 1) / kGranule * kGranule;
  const size_t offset = region->base - base_;
  mmap(region->base, body, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  madvise(shadow_ + offset * kShadowScale, body * kShadowScale, MADV_DONTNEED);
  std::lock_guard lock(arenaMutex());
  for (size_t i = 0; i < body / kGranule; i++) granules_[(offset >> kGranuleShift) + i] = freedMarker();
  freedRanges().emplace(body + kGranule, offset);
}

}  // namespace softmetal
