#pragma once

#include <cstdlib>
#include <cstring>

#include "core/backend.h"
#include "cpu/cpu_device.h"
#include "input.h"

namespace fuzz {

inline constexpr uint64_t kLargest = uint64_t{4} << 20;
inline constexpr size_t kReadable = 64;  // what kernels may read past the end, never write
inline constexpr uint8_t kGuard = 0x5a;

// Exact blocks: the sanitizer sees what leaves them, the guard behind them what is written there.
class Exact final : public core::Device {
 public:
  Exact() : core::Device(uint64_t{1} << 40) {}
  const core::DeviceInfo& info() const override { return info_; }
  std::unique_ptr<core::Buffer> allocate(uint64_t bytes) override { return std::make_unique<Block>(bytes); }
  uint64_t cachedBytes() const override { return 0; }
  void trim() override {}
  std::unique_ptr<core::Backend> createBackend() override { return nullptr; }

 private:
  class Block final : public cpu::CpuBuffer {
   public:
    explicit Block(uint64_t bytes) : bytes_(bytes) {
      void* memory = nullptr;
      if (bytes > kLargest || posix_memalign(&memory, 64, bytes + kReadable) != 0)
        throw core::Error(core::Code::kMemory, "too much to fuzz");
      data_ = static_cast<uint8_t*>(memory);
      std::memset(data_, 0xff, bytes_);
      std::memset(data_ + bytes_, kGuard, kReadable);
    }
    ~Block() override {
      for (size_t i = 0; i < kReadable; ++i) require(data_[bytes_ + i] == kGuard, "nothing is written past the end");
      std::free(data_);
    }
    std::byte* data() override { return reinterpret_cast<std::byte*>(data_); }

   private:
    uint64_t bytes_;
    uint8_t* data_;
  };
  core::DeviceInfo info_;
};

}  // namespace fuzz
