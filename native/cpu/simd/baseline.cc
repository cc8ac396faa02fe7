// Kernels for every x86-64 processor (SSE2).

#include "cpu/simd/prelude.h"

#if defined(__x86_64__)

namespace weightnorm::cpu::baseline {

#define WN_ISA_SSE2
#include "cpu/simd/kernels.inl"

}  // namespace weightnorm::cpu::baseline

#endif
