#pragma once

// What a kernel file sees: the vectors of one instruction set. This header is included inside the namespace of that
// instruction set (baseline.cc and its siblings select it with WN_ISA_*), after every system and core header, so that
// nothing shared with other translation units is ever compiled for an instruction set the machine may lack. For the
// same reason a kernel file instantiates no template of the standard library, uses no lambda, and calls
// inline functions only of headers that cpu/simd/prelude.h includes.
//
//   Vec  kLanes float32     VecD  kLanes / 2 float64     Mask, MaskD  the result of a comparison
//
// load / store are unaligned; loadN / storeN touch the first n lanes only (0 ≤ n ≤ kLanes; the rest read as 0).
// fma(a, b, c) = a·b + c, rounded once where the hardware has it (kFuses). accumulate(c, a, b): c = fma(a, b, c), for inner
// loops: GCC would turn a load shared by several fma into a memory operand of each, which halves the speed.
// broadcast(p) sets every lane to *p; accumulate and broadcast keep the order they are written in where that matters.
// min(a, b) = a < b ? a : b and max(a, b) = b < a ? a : b, so b is the result where either is NaN.
// loadHalf … storeBFloat: kLanes elements of 16 bits; the bits of core/dtype.h, NaNs made quiet.
// zip alternates the lanes of two vectors, a first; unzip undoes it.
// low / high widen half of a Vec to float64; join rounds two back to one Vec.
// loadWide and storeWide load and store kLanes / 2 float32 as float64.

#define WN_INLINE __attribute__((always_inline)) inline

#if defined(WN_ISA_AVX512)
#include "cpu/simd/vec_avx512.inl"
#elif defined(WN_ISA_AVX2)
#include "cpu/simd/vec_avx2.inl"
#elif defined(WN_ISA_NEON)
#include "cpu/simd/vec_neon.inl"
#else
#include "cpu/simd/vec_sse2.inl"
#endif

// The order matters.
// clang-format off
#include "cpu/simd/vec_common.inl"
#include "cpu/simd/vec_wide.inl"
#include "cpu/simd/vec_math.inl"
#include "cpu/simd/activation.inl"
// clang-format on
