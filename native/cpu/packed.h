#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "cpu/cpu_device.h"
#include "cpu/row_scales.h"

namespace weightnorm::cpu {

// Everything a packed form of a weight depends on beside the weight's values.
using PackKey = std::vector<int64_t>;

// A packed form of a weight, kept with the weight's storage and counted in its device's budget.
class Packed final : public core::Derived {
 public:
  // Memory for `floats` values; throws ERR_MEMORY.
  Packed(core::Device& device, PackKey key, int64_t floats);
  ~Packed() override;

  const PackKey& key() const { return key_; }
  float* data() { return data_; }

 private:
  core::Device& device_;
  PackKey key_;
  uint64_t bytes_;
  std::unique_ptr<core::Buffer> memory_;
  float* data_ = nullptr;
};

// The packed form of `weight` for this key, made by fill(float*, rows) if it is not there yet. It calls rows(first, last)
// before it reads these rows of the weight, on any thread, each row once: `scale` (may be absent) may be computed by it. [queue]
template <class Fill>
float* packed(const core::Tensor& weight, const core::Tensor& scale, const PackKey& key, int64_t floats, const Fill& fill) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const int64_t part : key) hash = (hash ^ static_cast<uint64_t>(part)) * 0x100000001b3u;
  if (auto* found = dynamic_cast<Packed*>(weight.storage->derived(hash)); found && found->key() == key) {
    return found->data();
  }
  auto made = std::make_unique<Packed>(weight.storage->device(), key, floats);
  const RowScales* const scales = RowScales::of(scale, weight);
  fill(made->data(), [scales](int64_t first, int64_t last) {
    if (scales) scales->rows(first, last);
  });
  if (scales) scale.storage->settle();
  return static_cast<Packed*>(weight.storage->keep(hash, std::move(made)))->data();
}

}  // namespace weightnorm::cpu
