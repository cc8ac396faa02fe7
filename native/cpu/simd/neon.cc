// Kernels for arm64 processors (NEON).

#include "cpu/simd/prelude.h"

#if defined(__aarch64__)

namespace weightnorm::cpu::neon {

#define WN_ISA_NEON
#include "cpu/simd/kernels.inl"

}  // namespace weightnorm::cpu::neon

#endif
