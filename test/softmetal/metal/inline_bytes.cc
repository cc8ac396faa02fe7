#include "inline_bytes.h"

#include <cstring>
#include <mutex>
#include <vector>

namespace softmetal {
namespace {

// Regions in reserve, so that a small dispatch need not map memory.
struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Region>> regions;
};
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

}  // namespace

InlineBytes::InlineBytes(const void* bytes, size_t length) {
  {
    std::lock_guard lock(pool().mutex);
    if (!pool().regions.empty()) {
      region_ = std::move(pool().regions.back());
      pool().regions.pop_back();
    }
  }
  if (!region_) region_ = Arena::instance().allocate(4096);
  memcpy(region_->base, bytes, length);
  region_->length = length;
}

InlineBytes::~InlineBytes() {
  std::lock_guard lock(pool().mutex);
  pool().regions.push_back(std::move(region_));
}

}  // namespace softmetal
