// y = post(s (x weight^T) + bias): x [rows, K], weight [O, K], y [rows, O].
//   linear_few   up to 8 rows: a simdgroup computes one output of all rows, its lanes striding over K. Grid: O / (simdgroups of a
//                threadgroup). Traffic: weight once (the least possible); x comes from the cache.
//   linear_gemm  any number of rows: gemm.h. Grid [O / BN, rows / BM]. Traffic: x read O / BN times, weight rows / BM times.
//   linear_finish  the scale, bias and activation after a product made elsewhere: one thread an element, 8 bytes an element.
#include "gemm.h"

constant uint kScale [[function_constant(0)]];  // 0 none, 1 one value, 2 one an output
constant bool kBias [[function_constant(1)]];
constant uint kPost [[function_constant(2)]];  // core::Act
constant bool kPostLogScale [[function_constant(3)]];

struct LinearParams {  // linear.mm
  ulong rows;
  uint K, outputs;
  uint biasType, alphaType;
  float postParam;
  uint aligned;
};

struct LinearEpilogue {
  device const float* scale;
  device const uchar* bias;
  device const uchar* alpha;
  uint biasType, alphaType;
  float postParam;

  float apply(float x, uint o) const {
    if (kScale == 1) x = x * scale[0];
    if (kScale == 2) x = x * scale[o];
    if (kBias) x = x + load_any(bias, biasType, o);
    const float a = kPost == kActSnake ? snake_alpha(load_any(alpha, alphaType, o), kPostLogScale) : 0.0f;
    return activate(kPost, x, postParam, a);
  }
};

#define LINEAR_ARGUMENTS(T)                                                                                        \
  device const T *x [[buffer(0)]], device const T *weight [[buffer(1)]], device const uchar *bias [[buffer(2)]],   \
      device const float *scale [[buffer(3)]], device const uchar *alpha [[buffer(4)]], device T *y [[buffer(5)]], \
      constant LinearParams &p [[buffer(6)]]
#define LINEAR_EPILOGUE {scale, bias, alpha, p.biasType, p.alphaType, p.postParam}

template <typename T>
[[kernel]] void linear_few(LINEAR_ARGUMENTS(T), uint group [[threadgroup_position_in_grid]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                           uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint o = group * simdgroups + simdgroup;
  if (o >= p.outputs) return;
  const uint rows = uint(p.rows);
  device const T* w = weight + ulong(o) * p.K;
  float sum[8];
#pragma unroll
  for (uint r = 0; r < 8; r++) sum[r] = 0.0f;
  const uint quads = p.aligned != 0 ? p.K / 4 : 0;
  for (uint i = lane; i < quads; i += 32) {
    const float4 a = load4(w + 4 * i);
#pragma unroll
    for (uint r = 0; r < 8; r++) {
      if (r < rows) {
        const float4 b = load4(x + ulong(r) * p.K + 4 * i);
        sum[r] = fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum[r]))));
      }
    }
  }
  for (uint i = 4 * quads + lane; i < p.K; i += 32) {
    const float a = widen(w[i]);
#pragma unroll
    for (uint r = 0; r < 8; r++) {
      if (r < rows) sum[r] = fma(a, widen(x[ulong(r) * p.K + i]), sum[r]);
    }
  }
  const LinearEpilogue epilogue = LINEAR_EPILOGUE;
#pragma unroll
  for (uint r = 0; r < 8; r++) {
    const float total = simd_sum(sum[r]);
    if (lane == r && r < rows) y[ulong(r) * p.outputs + o] = narrow<T>(epilogue.apply(total, o));
  }
}
INSTANTIATE(linear_few)

template <typename T>
struct StoreLinear {
  device T* y;
  uint rows, outputs;
  LinearEpilogue epilogue;

  void put(uint row, uint o, float value) const {
    if (row < rows && o < outputs) y[ulong(row) * outputs + o] = narrow<T>(epilogue.apply(value, o));
  }
};

template <typename T, int BM, int BN>
[[kernel, max_total_threads_per_threadgroup(kGemmThreads)]] void linear_gemm(LINEAR_ARGUMENTS(T),
                                                                             uint2 group [[threadgroup_position_in_grid]],
                                                                             uint thread_index [[thread_index_in_threadgroup]],
                                                                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                                                                             uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float memory[GEMM_MEMORY(BM, BN)];
  // Rows beyond 32 bits are the grid's: the tile counts from its own first row.
  const ulong start = ulong(group.y) * BM;
  const Tile tile = {thread_index, simdgroup, lane, 0, group.x * BN};
  const uint rows = uint(min(ulong(BM), p.rows - start));
  LoadRows<T, BM> a = {x + start * p.K, p.K, rows, p.K, 0, thread_index, p.aligned != 0};
  LoadRows<T, BN> b = {weight, p.K, p.outputs, p.K, tile.column, thread_index, p.aligned != 0};
  const StoreLinear<T> store = {y + start * p.outputs, rows, p.outputs, LINEAR_EPILOGUE};
  gemm_tile<BM, BN, true>(a, b, store, p.K, memory, tile);
}

#define LINEAR(name, T)                                                                                              \
  template [[host_name("linear_gemm_64_" name)]] [[kernel]] decltype(linear_gemm<T, 64, 64>) linear_gemm<T, 64, 64>; \
  template [[host_name("linear_gemm_32_" name)]] [[kernel]] decltype(linear_gemm<T, 32, 32>) linear_gemm<T, 32, 32>;
LINEAR("float32", float)
LINEAR("float16", half)
LINEAR("bfloat16", bf16)

[[kernel]] void linear_finish(device const float* product [[buffer(0)]], device const uchar* bias [[buffer(2)]],
                              device const float* scale [[buffer(3)]], device const uchar* alpha [[buffer(4)]],
                              device float* y [[buffer(5)]], constant LinearParams& p [[buffer(6)]], uint2 at [[thread_position_in_grid]],
                              uint2 grid [[threads_per_grid]]) {
  const LinearEpilogue epilogue = LINEAR_EPILOGUE;
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    for (uint o = at.x; o < p.outputs; o += grid.x) {
      const ulong i = row * p.outputs + o;
      y[i] = epilogue.apply(product[i], o);
    }
  }
}
