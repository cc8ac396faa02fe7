#pragma once

#include <cstdlib>

#include "core/backend.h"

namespace fuzz {

// Promises memory without end and has none: for what is decided before anything is computed.
class Boundless final : public weightnorm::core::Device {
 public:
  Boundless() : weightnorm::core::Device(uint64_t{1} << 63) {}
  const weightnorm::core::DeviceInfo& info() const override { return info_; }
  std::unique_ptr<weightnorm::core::Buffer> allocate(uint64_t) override { std::abort(); }
  uint64_t cachedBytes() const override { return 0; }
  void trim() override {}
  std::unique_ptr<weightnorm::core::Backend> createBackend() override { return nullptr; }

 private:
  weightnorm::core::DeviceInfo info_;
};

}  // namespace fuzz
