// Simdgroup operations and matrices, and barriers that work.
#include <random>

#include "gpu.h"

using gpu::evaluate;

TEST(reductions_over_a_simdgroup) {
  CHECK_EQUAL(evaluate("simd_sum(float(i))")[7], 496.0f);
  CHECK_EQUAL(evaluate("simd_max(float(i % 20))")[0], 19.0f);
  CHECK_EQUAL(evaluate("simd_min(float(i) - 4)")[31], -4.0f);
  CHECK_EQUAL(evaluate("float(simd_or(1u << i))")[3], 4294967295.0f);
  CHECK_EQUAL(evaluate("float(simd_and(~(1u << i)) + simd_xor(i))")[3], 0.0f);
  CHECK_EQUAL(evaluate("simd_sum(float2(i, 1)).y")[0], 32.0f);
  CHECK_EQUAL(evaluate("float(simd_sum(half(0.5h)))")[1], 16.0f);
  CHECK_EQUAL(evaluate("float(simd_any(i == 5)) + float(simd_all(i < 5))")[0], 1.0f);
  CHECK_EQUAL(evaluate("float(popcount(uint(ulong(simd_ballot(i % 3 == 0)))))")[0], 11.0f);
}

TEST(the_second_simdgroup_is_its_own_and_may_be_partial) {
  const auto sums = evaluate("simd_sum(1.0f)", 44);
  CHECK_EQUAL(sums[31], 32.0f);
  CHECK_EQUAL(sums[32], 12.0f);
  CHECK_EQUAL(evaluate("simd_max(float(i))", 44)[40], 43.0f);
  CHECK(evaluate("simd_shuffle_down(float(i), 4)", 44)[43] != 43.0f);  // from a lane that does not exist: undefined
}

TEST(shuffles_move_values_between_lanes) {
  CHECK_EQUAL(evaluate("simd_shuffle(float(i), 31 - i)")[4], 27.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_xor(float(i), 5)")[8], 13.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_down(float(i), 3)")[10], 13.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_down(float(i), 3)")[30], 30.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_up(float(i), 3)")[10], 7.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_up(float(i), 3)")[1], 1.0f);
  CHECK_EQUAL(evaluate("simd_shuffle_rotate_down(float(i), 3)")[30], 1.0f);
  CHECK_EQUAL(evaluate("simd_broadcast(float(i), 9)")[2], 9.0f);
  CHECK_EQUAL(evaluate("simd_broadcast_first(float(i) + 2)")[9], 2.0f);
}

TEST(prefix_sums) {
  CHECK_EQUAL(evaluate("simd_prefix_inclusive_sum(float(i))")[5], 15.0f);
  CHECK_EQUAL(evaluate("simd_prefix_exclusive_sum(float(i))")[5], 10.0f);
  CHECK_EQUAL(evaluate("simd_prefix_inclusive_product(i < 3 ? 2.0f : 1.0f)")[9], 8.0f);
}

TEST(a_tree_reduction_with_barriers_is_clean_under_every_seed) {
  const char* source = R"(
    kernel void tree(device const float* in [[buffer(0)]], device float* out [[buffer(1)]], threadgroup float* s [[threadgroup(0)]],
                     uint i [[thread_index_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
      s[i] = in[i];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint step = n / 2; step > 0; step /= 2) {
        if (i < step) s[i] += s[i + step];
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      if (i == 0) out[0] = s[0];
    })";
  id<MTLBuffer> in = gpu::buffer(std::vector<float>(1024, 0.5f)), out = gpu::emptyBuffer(4);
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "tree");
  for (int seed = 1; seed <= 5; seed++) {
    softmetal_set("seed", seed);
    CHECK_EQUAL(gpu::dispatch(pipeline, {in, out}, {.threads = MTLSizeMake(1024, 1, 1), .threadgroupMemory = {4096}}), "");
    CHECK_EQUAL(gpu::values<float>(out)[0], 512.0f);
  }
}

template <class T>
static void checkMatrices(const char* type, float tolerance) {
  const std::string source = std::string("typedef ") + type + " T;" + R"(
    kernel void product(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]], device float* c [[buffer(2)]], device T* d [[buffer(3)]]) {
      simdgroup_matrix<T, 8, 8> x, y;
      simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
      for (uint k = 0; k < 16; k += 8) {
        simdgroup_load(x, a + k, 16);
        simdgroup_load(y, b, 16, ulong2(0, k), true);
        simdgroup_multiply_accumulate(sum, x, y, sum);
      }
      simdgroup_store(sum, c, 8);
      simdgroup_matrix<T, 8, 8> diagonal(T(2));
      simdgroup_multiply(x, x, diagonal);
      simdgroup_store(x, d, 8, ulong2(0), true);
    })";
  std::mt19937 random(3);
  std::vector<T> a(8 * 16), b(16 * 16);
  for (T& x : a) x = (T)((int)(random() % 17) - 8);
  for (T& x : b) x = (T)((int)(random() % 17) - 8);
  id<MTLBuffer> c = gpu::emptyBuffer(256), d = gpu::emptyBuffer(64 * sizeof(T));
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(source, "product"), {gpu::buffer(a), gpu::buffer(b), c, d}), "");
  const auto sums = gpu::values<float>(c);
  const auto doubled = gpu::values<T>(d);
  for (int row = 0; row < 8; row++)
    for (int column = 0; column < 8; column++) {
      float wanted = 1;
      // A transposed load swaps rows and columns of the 8x8 block whose rows begin at k.
      for (int k = 0; k < 16; k++) wanted += (float)a[row * 16 + k] * (float)b[(k / 8 * 8 + column) * 16 + k % 8];
      CHECK(std::abs(sums[row * 8 + column] - wanted) <= tolerance);
      CHECK_EQUAL((float)doubled[column * 8 + row], 2 * (float)a[row * 16 + 8 + column]);
    }
}
TEST(float_matrices_multiply) {
  checkMatrices<float>("float", 0);
}
TEST(half_matrices_multiply) {
  checkMatrices<_Float16>("half", 0);
}

TEST(matrices_load_from_and_store_to_threadgroup_memory) {
  const char* source = R"(
    kernel void roundtrip(device const float* a [[buffer(0)]], device float* b [[buffer(1)]], uint i [[thread_index_in_threadgroup]]) {
      threadgroup float s[64], t[64];
      s[i] = a[i];
      s[i + 32] = a[i + 32];
      simdgroup_barrier(mem_flags::mem_threadgroup);
      simdgroup_float8x8 m;
      simdgroup_load(m, s, 8);
      simdgroup_store(m, t, 8, ulong2(0), true);
      simdgroup_barrier(mem_flags::mem_threadgroup);
      b[i] = t[i];
      b[i + 32] = t[i + 32];
    })";
  std::vector<float> a(64);
  for (int i = 0; i < 64; i++) a[i] = i;
  id<MTLBuffer> out = gpu::emptyBuffer(256);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(source, "roundtrip"), {gpu::buffer(a), out}), "");
  CHECK_EQUAL(gpu::values<float>(out)[8], 1.0f);
}
