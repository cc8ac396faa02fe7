#include "check.h"
#include "core/environment.h"
#include "core/sanitizer.h"
#include "cpu/system.h"

// The allocator, its limits, and what is read from the environment.
namespace testing {

namespace {

void allocator() {
  auto device = std::make_shared<cpu::CpuDevice>(uint64_t{64} << 20, *pools()[0]);
  std::byte* first;
  {
    const auto buffer = device->allocate(1000);
    first = static_cast<cpu::CpuBuffer&>(*buffer).data();
    check(reinterpret_cast<uintptr_t>(first) % 64 == 0, "buffers are aligned to 64 bytes");
    std::memset(first, 1, 1064);
    check(device->cachedBytes() == 0, "live memory is not cached");
  }
  check(device->cachedBytes() >= 1000, "freed memory is cached");
  {
    const auto again = device->allocate(1001);
    check(static_cast<cpu::CpuBuffer&>(*again).data() == first, "the cache serves the same size class");
    check(device->cachedBytes() == 0, "served memory leaves the cache");
  }
  for (int i = 0; i < 40; ++i) device->allocate(uint64_t{1} << 20).reset();
  std::vector<std::unique_ptr<core::Buffer>> many;
  for (int i = 0; i < 40; ++i) many.push_back(device->allocate(uint64_t{1} << 20));
  many.clear();
  check(device->cachedBytes() <= uint64_t{16} << 20, "the cache keeps at most a quarter of the limit");
  check(device->cachedBytes() >= uint64_t{15} << 20, "the cache keeps what it may");
  device->trim();
  check(device->cachedBytes() == 0, "trim empties the cache");

  std::vector<uint64_t> impossible{uint64_t{1} << 55, uint64_t{1} << 62};
#if !defined(WEIGHTNORM_SANITIZER)
  // Addressable, but more than any machine has; sanitizers end the process instead of refusing it.
  impossible.push_back(uint64_t{1} << 46);
#endif
  for (const uint64_t bytes : impossible) {
    std::string code;
    try {
      device->allocate(bytes);
    } catch (const core::Error& error) {
      code = core::name(error.code());
    }
    check(code == "ERR_MEMORY", "more memory than there is: ERR_MEMORY");
  }
  check(device->allocate(64) != nullptr, "the device works after ERR_MEMORY");
  check(device->info().type == "cpu" && !device->info().name.empty() && device->info().memoryBytes > 0, "device facts");
}

void environment() {
  const char* const name = "WEIGHTNORM_TEST_INTEGER";
  const auto read = [&](const char* value) -> std::string {
    setenv(name, value, 1);
    try {
      const auto number = core::environmentWhole(name, "things", 1, 1024);
      return number ? std::to_string(*number) : "none";
    } catch (const core::Error& error) {
      return std::string(core::name(error.code())) + " " + error.what();
    }
  };
  check(read("") == "none" && read("7") == "7" && read("1024") == "1024", "whole numbers in range are read");
  for (const char* bad : {"0", "1025", "-1", "two", "3x", " 4", "1e3", "99999999999999999999999"}) {
    const std::string answer = read(bad);
    check(answer.find("ERR_ARGUMENT") == 0 && answer.find(name) != std::string::npos && answer.find(bad) != std::string::npos &&
              answer.find("from 1 to 1024") != std::string::npos,
          std::string("a bad number is refused: ") + bad);
  }
  unsetenv(name);
  check(cpu::performanceCores() >= 1 && cpu::usableMemory() > 0, "cores and memory");
}

}  // namespace

void testDevice() {
  allocator();
  environment();
}

}  // namespace testing
