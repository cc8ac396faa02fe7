#include "cpu/simd/isa.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace weightnorm::cpu::simd {

namespace {

constexpr Isa kAll[] = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon};

#if defined(__x86_64__)

// The register state the operating system saves (XCR0); 0 where XGETBV is off.
uint64_t savedState(unsigned ecx1) {
  if (!(ecx1 & (1u << 27))) return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

Isa detect() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::kBaseline;
  const uint64_t state = savedState(c);
  const bool fma = c & (1u << 12), avx = c & (1u << 28), f16c = c & (1u << 29);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return Isa::kBaseline;
  const bool avx2 = b & (1u << 5);
  if (!(fma && avx && f16c && avx2) || (state & 0x6) != 0x6) return Isa::kBaseline;
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;
  constexpr unsigned kNeeded = kF | kDq | kBw | kVl;
  return (b & kNeeded) == kNeeded && (state & 0xe6) == 0xe6 ? Isa::kAvx512 : Isa::kAvx2;
}

#else

Isa detect() {
  return Isa::kNeon;
}

#endif

Isa best() {
  static const Isa isa = detect();
  return isa;
}

Isa choose() {
  if (const char* wanted = std::getenv("WEIGHTNORM_ISA")) {
    for (const Isa isa : kAll) {
      if (supported(isa) && std::string(wanted) == name(isa)) return isa;
    }
  }
  return best();
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa{choose()};
  return isa;
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kNeon:
      return "neon";
    default:
      return "baseline";
  }
}

bool supported(Isa isa) {
  if (best() == Isa::kNeon || isa == Isa::kNeon) return isa == best();
  return isa <= best();
}

Isa active() {
  return current().load(std::memory_order_relaxed);
}

bool use(Isa isa) {
  if (!supported(isa)) return false;
  current().store(isa, std::memory_order_relaxed);
  return true;
}

int lanes(Isa isa) {
  return isa == Isa::kAvx512 ? 16 : isa == Isa::kAvx2 ? 8 : 4;
}

}  // namespace weightnorm::cpu::simd
