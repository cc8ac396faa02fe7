#pragma once

// Every system and core header a kernel file needs. An instruction set's translation unit includes this first, while
// the compiler still generates code for the lowest processor: what these headers define inline may be shared with
// other translation units and must run everywhere.

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "core/dtype.h"
#include "core/ops.h"
#include "cpu/conv_kernels.h"
#include "cpu/elementwise_kernels.h"
#include "cpu/gemm_kernels.h"
#include "cpu/norm_kernels.h"
#include "cpu/simd/isa.h"
#include "cpu/simd/vec_table.h"
#include "cpu/winograd_kernels.h"
