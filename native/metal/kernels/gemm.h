// C[M, N] = A[M, K] B[K, N] on 8x8 simdgroup matrices with float accumulators: the inner part shared by convolutions,
// linear layers and matrix products. A threadgroup of 128 threads (2 x 2 simdgroups) owns a BM x BN tile of C and walks K in steps
// of 16, staged through threadgroup memory as float. Every element of C is summed over K in the same order whatever the tile's size
// and place, so an element depends only on its row of A and its column of B.
#pragma once
#include <metal_simdgroup_matrix>

#include "common.h"

enum : uint {
  kGemmThreads = 128,
  kStep = 16,           // of K
  kPitchA = kStep + 4,  // A is staged [BM][K]; the 4 keep rows apart in the banks
};
// B is staged [K][BN], or [BN][K] where its memory is contiguous in K (TRANSPOSED_B).
#define GEMM_PITCH_B(BN) ((BN) + 4)
// Floats of threadgroup memory a tile needs. Results pass through the same memory, 8 rows a simdgroup at a time.
#define GEMM_MEMORY(BM, BN) ((BM) * kPitchA + (BN) * kPitchA)

// Where a thread of the tile stands.
struct Tile {
  uint thread_index, simdgroup, lane;
  uint row, column;  // of C, at the tile's corner
};

// LoadA::stage(memory, k) fills [BM][kPitchA] with A's columns k .. k + 15; LoadB likewise; both give 0 outside the matrices.
// Store::put(row, column, value) takes what lies inside.
template <int BM, int BN, bool TRANSPOSED_B, typename LoadA, typename LoadB, typename Store>
inline void gemm_tile(thread LoadA& a, thread LoadB& b, thread const Store& store, uint K, threadgroup float* memory,
                      thread const Tile& tile) {
  const int FM = BM / 16, FN = BN / 16;  // fragments of a simdgroup
  const uint pitchB = TRANSPOSED_B ? kPitchA : GEMM_PITCH_B(BN);
  threadgroup float* stagedA = memory;
  threadgroup float* stagedB = memory + BM * kPitchA;
  const uint top = tile.simdgroup / 2 * (BM / 2), left = tile.simdgroup % 2 * (BN / 2);

  simdgroup_float8x8 sum[FM][FN];
#pragma unroll
  for (int i = 0; i < FM; i++) {
#pragma unroll
    for (int j = 0; j < FN; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  for (uint k = 0; k < K; k += kStep) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    a.stage(stagedA, k);
    b.stage(stagedB, k);
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (uint step = 0; step < kStep; step += 8) {
      simdgroup_float8x8 fa[FM], fb[FN];
#pragma unroll
      for (int i = 0; i < FM; i++) simdgroup_load(fa[i], stagedA + (top + 8 * i) * kPitchA + step, kPitchA);
#pragma unroll
      for (int j = 0; j < FN; j++) {
        if (TRANSPOSED_B) {
          simdgroup_load(fb[j], stagedB + (left + 8 * j) * pitchB + step, pitchB, ulong2(0), true);
        } else {
          simdgroup_load(fb[j], stagedB + step * pitchB + left + 8 * j, pitchB);
        }
      }
#pragma unroll
      for (int i = 0; i < FM; i++) {
#pragma unroll
        for (int j = 0; j < FN; j++) simdgroup_multiply_accumulate(sum[i][j], fa[i], fb[j], sum[i][j]);
      }
    }
  }
  // Each simdgroup passes its results, 8 rows at a time, through its own part of the memory.
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint width = BN / 2, pitch = width + 4;
  threadgroup float* own = memory + tile.simdgroup * 8 * pitch;
#pragma unroll
  for (int i = 0; i < FM; i++) {
#pragma unroll
    for (int j = 0; j < FN; j++) simdgroup_store(sum[i][j], own + 8 * j, pitch);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint e = tile.lane; e < 8 * width; e += 32) {
      store.put(tile.row + top + 8 * i + e / width, tile.column + left + e % width, own[e / width * pitch + e % width]);
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// A matrix whose rows are contiguous in K: [rows, K] with `pitch` elements a row, staged [ROWS][kPitchA].
template <typename T, int ROWS>
struct LoadRows {
  device const T* matrix;
  ulong pitch;
  uint rows, K, first, thread_index;
  bool aligned;  // K and pitch are multiples of 4

  void stage(threadgroup float* memory, uint k) const {
    for (uint e = thread_index; e < ROWS * kStep / 4; e += kGemmThreads) {
      const uint row = e / (kStep / 4), column = e % (kStep / 4) * 4;
      float4 x = float4(0.0f);
      if (first + row < rows) {
        device const T* p = matrix + ulong(first + row) * pitch + k + column;
        if (aligned) {
          if (k + column < K) x = load4(p);
        } else {
#pragma unroll
          for (uint i = 0; i < 4; i++) {
            if (k + column + i < K) x[i] = widen(p[i]);
          }
        }
      }
      threadgroup float* to = memory + row * kPitchA + column;
#pragma unroll
      for (uint i = 0; i < 4; i++) to[i] = x[i];
    }
  }
};

// A matrix whose rows run along N: [K, columns], staged [kStep][GEMM_PITCH_B(COLUMNS)].
template <typename T, int COLUMNS>
struct LoadColumns {
  device const T* matrix;
  ulong pitch;
  uint columns, K, first, thread_index;
  bool aligned;  // columns and pitch are multiples of 4

  void stage(threadgroup float* memory, uint k) const {
    for (uint e = thread_index; e < kStep * COLUMNS / 4; e += kGemmThreads) {
      const uint row = e / (COLUMNS / 4), column = e % (COLUMNS / 4) * 4;
      float4 x = float4(0.0f);
      if (k + row < K) {
        device const T* p = matrix + ulong(k + row) * pitch + first + column;
        if (aligned) {
          if (first + column < columns) x = load4(p);
        } else {
#pragma unroll
          for (uint i = 0; i < 4; i++) {
            if (first + column + i < columns) x[i] = widen(p[i]);
          }
        }
      }
      threadgroup float* to = memory + row * GEMM_PITCH_B(COLUMNS) + column;
#pragma unroll
      for (uint i = 0; i < 4; i++) to[i] = x[i];
    }
  }
};
