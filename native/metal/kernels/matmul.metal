// y[b] = a[b] b[b]: a [M, K], b [K, N], y [M, N], with the leading axes of a and b broadcast against y's (stride 0).
// Grid: [N / BN, M / BM, batches] threadgroups of 128 threads; see gemm.h. Traffic: a read N / BN times, b M / BM times.
#include "gemm.h"

struct MatmulParams {  // matmul.mm
  ulong batchSize[6], batchStrideA[6], batchStrideB[6];
  uint M, N, K, alignedA, alignedB, unused;
};

template <typename T>
struct StoreMatrix {
  device T* y;
  uint rows, columns;
  void put(uint row, uint column, float value) const {
    if (row < rows && column < columns) y[ulong(row) * columns + column] = narrow<T>(value);
  }
};

template <typename T, int BM, int BN>
[[kernel, max_total_threads_per_threadgroup(kGemmThreads)]] void matmul(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]],
                                                                        device T* y [[buffer(2)]], constant MatmulParams& p [[buffer(3)]],
                                                                        uint3 group [[threadgroup_position_in_grid]],
                                                                        uint thread_index [[thread_index_in_threadgroup]],
                                                                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                                                                        uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float memory[GEMM_MEMORY(BM, BN)];
  const ulong batch = group.z;
  ulong rest = batch, offsetA = 0, offsetB = 0;
  for (int i = 5; i >= 0; i--) {
    const ulong index = rest % p.batchSize[i];
    rest /= p.batchSize[i];
    offsetA += index * p.batchStrideA[i];
    offsetB += index * p.batchStrideB[i];
  }
  const Tile tile = {thread_index, simdgroup, lane, group.y * BM, group.x * BN};
  LoadRows<T, BM> loadA = {a + offsetA, p.K, p.M, p.K, tile.row, thread_index, p.alignedA != 0};
  LoadColumns<T, BN> loadB = {b + offsetB, p.N, p.N, p.K, tile.column, thread_index, p.alignedB != 0};
  const StoreMatrix<T> store = {y + batch * p.M * p.N, p.M, p.N};
  gemm_tile<BM, BN, false>(loadA, loadB, store, p.K, memory, tile);
}

#define MATMUL(name, T)                                                                               \
  template [[host_name("matmul_64_" name)]] [[kernel]] decltype(matmul<T, 64, 64>) matmul<T, 64, 64>; \
  template [[host_name("matmul_32_" name)]] [[kernel]] decltype(matmul<T, 32, 32>) matmul<T, 32, 32>;
MATMUL("float32", float)
MATMUL("float16", half)
MATMUL("bfloat16", bf16)
