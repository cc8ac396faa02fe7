// Kernels for x86-64 processors with AVX2, FMA and F16C.

#include "cpu/simd/prelude.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,prfchw"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,prfchw")
#endif

namespace weightnorm::cpu::avx2 {

#define WN_ISA_AVX2
#include "cpu/simd/kernels.inl"

}  // namespace weightnorm::cpu::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
