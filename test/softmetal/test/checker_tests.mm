// The memory checker: each kernel breaks one rule, or is the correct form of one that does.
#include "gpu.h"

struct Sample {
  const char* body;
  const char* message;  // empty: the kernel is correct
  unsigned groups = 1, threads = 64;
};

// One kernel on buffers a (256 bytes, zeros) and b (256 bytes, private, never written), in 64 threads.
static void check(const Sample& sample) {
  const std::string source =
      std::string("kernel void f(device float* a [[buffer(0)]], device float* b [[buffer(1)]], uint t [[thread_index_in_threadgroup]], "
                  "uint g [[threadgroup_position_in_grid]], uint i [[thread_position_in_grid]]) {\n") +
      sample.body + "\n}";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "f");
  for (int seed = 1; seed <= 3; seed++) {
    softmetal_set("seed", seed);
    id<MTLBuffer> a = gpu::buffer(std::vector<float>(64)), b = gpu::emptyBuffer(256, MTLResourceStorageModePrivate);
    const std::string error =
        gpu::dispatch(pipeline, {a, b}, {.groups = MTLSizeMake(sample.groups, 1, 1), .threads = MTLSizeMake(sample.threads, 1, 1)});
    CHECK_CONTAINS(error, sample.message);
    CHECK_CONTAINS(gpu::takeViolations(), sample.message);
    if (*sample.message) CHECK_CONTAINS(error, "program_source:4");
  }
}

TEST(write_behind_a_buffer) {
  check({"a[t + 1] = 1;", "out-of-bounds write of 4 bytes at offset 256 of buffer(0) a, length 256"});
}
TEST(read_before_a_buffer) {
  check({"if (t == 0) a[t] = a[int(t) - 1];", "out-of-bounds read of 4 bytes at offset -4 of buffer(0) a"});
}
TEST(read_far_outside) {
  check({"a[t] = a[t + 100000000ul];", "invalid address", 1, 1});
}
TEST(vector_read_across_the_end) {
  check({"if (t == 0) a[0] = (*(device packed_float4*)(a + 62)).x;", "out-of-bounds read"});
}
TEST(write_behind_a_threadgroup_variable) {
  check({"threadgroup float s[32], u[32]; u[t % 32] = 0; threadgroup float* p = s; p[t] = 1; a[t] = s[t % 32];", "threadgroup memory"});
}
TEST(misaligned_vector) {
  check({"if (t == 0) *(device float4*)(a + 1) = float4(1.0f);", "misaligned write of 16 bytes at offset 4"});
}
TEST(packed_vectors_need_no_alignment) {
  check({"if (t == 0) *(device packed_float3*)(a + 1) = packed_float3(1, 2, 3);", ""});
}
TEST(uninitialised_private_buffer) {
  check({"a[t] = b[t];", "read of uninitialised memory at offset"});
}
TEST(read_modify_write_of_uninitialised_memory) {
  check({"b[t] += 1;", "read of uninitialised memory"});
}
TEST(index_beyond_a_private_array) {
  check({"float x[4]; for (uint i = 0; i <= 4; i++) x[i] = i; a[t] = x[t % 4];", "an index is beyond its array"});
  check({"threadgroup float s[32]; s[t] = 1; a[t] = s[t % 32];", "an index is beyond its array"});
  check({"float x[4]; for (uint i = 0; i < 4; i++) x[i] = i; a[t] = x[t % 4];", ""});
}
TEST(uninitialised_threadgroup_memory) {
  check({"threadgroup float s[64]; if (t < 32) s[t] = 1; threadgroup_barrier(mem_flags::mem_threadgroup); a[t] = s[t];",
         "read of uninitialised memory at offset"});
}
TEST(threadgroup_memory_does_not_survive_a_threadgroup) {
  check({"threadgroup float s[64]; if (g == 0) s[t] = 1; a[t] = g == 0 ? 0.0f : s[t];", "", 1});
  check({"threadgroup float s[64]; if (t == 0 && g != 0) a[g] = s[t]; s[t] = 1;", "uninitialised", 2});
}
TEST(missing_barrier) {
  check({"threadgroup float s[64]; s[t] = a[t]; a[t] = s[63 - t];", "thread ("});
}
TEST(barrier_for_the_wrong_memory) {
  check({"threadgroup float s[64]; s[t] = a[t]; threadgroup_barrier(mem_flags::mem_device); a[t] = s[63 - t];", "data race"});
  check({"a[t] = float(t); threadgroup_barrier(mem_flags::mem_threadgroup); float x = a[63 - t]; "
         "threadgroup_barrier(mem_flags::mem_device); a[t] = x;",
         "data race: read at offset"});
  check({"a[t] = float(t); threadgroup_barrier(mem_flags::mem_device); float x = a[63 - t]; threadgroup_barrier(mem_flags::mem_device); "
         "a[t] = x;",
         ""});
}
TEST(simdgroup_barrier_across_simdgroups) {
  check({"threadgroup float s[64]; s[t] = a[t]; simdgroup_barrier(mem_flags::mem_threadgroup); a[t] = s[63 - t];", "thread ("});
}
TEST(simdgroup_barrier_within_a_simdgroup) {
  check({"threadgroup float s[64]; s[t] = a[t]; simdgroup_barrier(mem_flags::mem_threadgroup); a[t] = s[t ^ 31];", ""});
}
TEST(no_implicit_lockstep) {
  check({"threadgroup float s[64]; s[t] = a[t]; a[t] = s[t ^ 1];", "thread ("});
}
TEST(missing_barrier_before_reuse) {
  check({"threadgroup float s[64]; for (int k = 0; k < 2; k++) { s[t] = a[t]; threadgroup_barrier(mem_flags::mem_threadgroup); a[t] = s[63 "
         "- t]; }",
         "data race"});
}
TEST(two_threads_write_one_word) {
  check({"a[t / 2] = 1;", "data race: write"});
}
TEST(neighbouring_bytes_are_not_one_word) {
  check({"((device uchar*)a)[t] = uchar(t); ((device ushort*)a)[64 + t] = 1;", ""});
}
TEST(two_threadgroups_write_one_word) {
  check({"if (t == 0) a[0] = float(g);", "another threadgroup of this dispatch", 2});
}
TEST(one_threadgroup_reads_what_another_writes) {
  check({"if (g == 0) a[t] = 1; else if (t < 8) b[t] = a[t];", "another threadgroup of this dispatch", 2});
}
TEST(atomic_and_plain_access_race) {
  check({"if (t % 2) atomic_fetch_add_explicit((device atomic_uint*)a, 1u, memory_order_relaxed); else a[0] = 1;", "data race"});
}
TEST(barrier_in_divergent_control_flow) {
  check({"if (t < 40) threadgroup_barrier(mem_flags::mem_threadgroup);\na[t] = 1;", "threadgroup_barrier divergence"});
  check({"if (t < 40) threadgroup_barrier(mem_flags::mem_none); else threadgroup_barrier(mem_flags::mem_threadgroup); a[t] = 1;",
         "at another barrier"});
}
TEST(simdgroup_operation_in_divergent_control_flow) {
  check({"if (t % 32 < 16) a[t] = simd_sum(1.0f);", "diverges"});
}
TEST(simdgroup_operation_uniform_in_its_simdgroup) {
  check({"if (t >= 32) a[t] = simd_sum(1.0f);", ""});
}
TEST(broadcast_from_different_lanes) {
  check({"a[t] = simd_broadcast(1.0f, ushort(t));", "simd_broadcast with different lanes"});
}
TEST(matrix_operation_on_a_partial_simdgroup) {
  check({"simdgroup_float8x8 m; simdgroup_load(m, a, 8); a[t] = 0;", "needs all 32 lanes", 1, 40});
}
TEST(matrix_load_with_arguments_that_differ) {
  check({"simdgroup_float8x8 m; simdgroup_load(m, a + t, 8);", "differ between lanes"});
}
TEST(matrix_load_out_of_bounds) {
  check({"simdgroup_float8x8 m; simdgroup_load(m, a + 32, 8);", "out-of-bounds read of 32 bytes"});
}
TEST(matrix_store_races_with_another_simdgroup) {
  check({"simdgroup_float8x8 m = make_filled_simdgroup_matrix<float, 8, 8>(1.0f); simdgroup_store(m, a, 8);", "data race: write"});
}
TEST(private_memory_of_another_thread) {
  check({"threadgroup ulong p[1]; float mine = float(t); if (t == 0) p[0] = (ulong)&mine; "
         "threadgroup_barrier(mem_flags::mem_threadgroup); a[t] = *(thread float*)p[0]; threadgroup_barrier(mem_flags::mem_threadgroup);",
         "another thread's private memory"});
}
TEST(memory_of_new_shared_buffers_is_uninitialised_until_someone_writes) {
  const char* source = "kernel void f(device float* a [[buffer(0)]], device float* b [[buffer(1)]]) { a[0] = b[0]; }";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "f");
  id<MTLBuffer> a = gpu::emptyBuffer(4), b = gpu::emptyBuffer(4);
  CHECK_CONTAINS(gpu::dispatch(pipeline, {a, b}, {.threads = MTLSizeMake(1, 1, 1)}),
                 "read of uninitialised memory at offset 0 of buffer(1) b");
  gpu::takeViolations();
  *(float*)b.contents = 2;
  CHECK_EQUAL(gpu::dispatch(pipeline, {a, b}, {.threads = MTLSizeMake(1, 1, 1)}), "");
  CHECK_EQUAL(softmetal_renew(b.contents, 4), 0);
  CHECK_CONTAINS(gpu::dispatch(pipeline, {a, b}, {.threads = MTLSizeMake(1, 1, 1)}), "uninitialised");
  gpu::takeViolations();
}

TEST(buffers_reached_through_pointers_need_use_resource) {
  const char* source = "struct Table { device float* data; };\nkernel void f(constant Table& table [[buffer(0)]], device float* out "
                       "[[buffer(1)]]) { out[0] = table.data[1]; }";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "f");
  id<MTLBuffer> data = gpu::buffer<float>({1, 2}), out = gpu::emptyBuffer(4);
  const uint64_t address = data.gpuAddress;
  for (int used = 0; used < 2; used++) {
    const std::string error = gpu::compute([&](id<MTLComputeCommandEncoder> encoder) {
      [encoder setComputePipelineState:pipeline];
      [encoder setBytes:&address length:8 atIndex:0];
      [encoder setBuffer:out offset:0 atIndex:1];
      if (used) [encoder useResource:data usage:MTLResourceUsageRead];
      [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    });
    CHECK_CONTAINS(error, used ? "" : "useResource: is missing");
    gpu::takeViolations();
  }
  CHECK_EQUAL(gpu::values<float>(out)[0], 2.0f);
}
