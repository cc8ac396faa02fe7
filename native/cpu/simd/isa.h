#pragma once

#include <string>

// Instruction sets chosen at run time. Each has one translation unit (baseline.cc, avx2.cc, …) that compiles every
// kernel .inl inside its own namespace; a topic publishes a table of function pointers per instruction set.
namespace weightnorm::cpu::simd {

enum class Isa { kBaseline, kAvx2, kAvx512, kNeon };

// "baseline", "avx2", "avx512" or "neon".
const char* name(Isa isa);

// Whether this processor and operating system run `isa`, and this build contains it.
bool supported(Isa isa);

// The best supported instruction set, or the lower one named by WEIGHTNORM_ISA; decided once. Any thread.
Isa active();

// Replaces active() for the rest of the process; false (nothing changes) where `isa` is not supported.
// For tests and benchmarks, while no kernel runs.
bool use(Isa isa);

// Float32 lanes of one vector.
int lanes(Isa isa);

}  // namespace weightnorm::cpu::simd

// Declares the tables of one topic: `struct Table` of function pointers, defined in each instruction set's namespace by
// its kernel file as `extern const Table name = {…};`, and `const Table& get_name(Isa)`, which picks one.
#if defined(__x86_64__)
#define WEIGHTNORM_KERNELS(Table, name)                            \
  namespace baseline {                                             \
  extern const Table name;                                         \
  }                                                                \
  namespace avx2 {                                                 \
  extern const Table name;                                         \
  }                                                                \
  namespace avx512 {                                               \
  extern const Table name;                                         \
  }                                                                \
  inline const Table& get_##name(simd::Isa isa = simd::active()) { \
    if (isa == simd::Isa::kAvx512) return avx512::name;            \
    return isa == simd::Isa::kAvx2 ? avx2::name : baseline::name;  \
  }
#elif defined(__aarch64__)
#define WEIGHTNORM_KERNELS(Table, name)                        \
  namespace neon {                                             \
  extern const Table name;                                     \
  }                                                            \
  inline const Table& get_##name(simd::Isa = simd::active()) { \
    return neon::name;                                         \
  }
#else
#error "weightnorm's CPU backend needs x86-64 or arm64"
#endif
