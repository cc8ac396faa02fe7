// Every kernel file, compiled once for each instruction set inside its namespace. Each may use all of cpu/simd/vec.h
// and of cpu/simd/vec_table.inl, and defines the table its topic's header declared with WEIGHTNORM_KERNELS.

// The order matters.
// clang-format off
#include "cpu/simd/vec.h"
#include "cpu/simd/vec_table.inl"
#include "cpu/conv_kernels.inl"
#include "cpu/elementwise_kernels.inl"
#include "cpu/gemm_kernels.inl"
#include "cpu/norm_kernels.inl"
#include "cpu/winograd_kernels.inl"
// clang-format on
