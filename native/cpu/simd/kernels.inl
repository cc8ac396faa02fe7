// Every kernel file, compiled once for each instruction set inside its namespace. Each may use all of cpu/simd/vec.h
// and defines the table its topic's header declared with WEIGHTNORM_KERNELS.

#include "cpu/conv_kernels.inl"
#include "cpu/elementwise_kernels.inl"
#include "cpu/gemm_kernels.inl"
#include "cpu/norm_kernels.inl"
#include "cpu/simd/vec.h"
#include "cpu/simd/vec_table.inl"
#include "cpu/winograd_kernels.inl"
