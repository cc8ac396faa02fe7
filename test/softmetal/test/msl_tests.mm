// The shading language: types, functions, attributes, templates, function constants.
#include <cmath>
#include <cstring>

#include "gpu.h"

using gpu::evaluate;

static void expect(const std::string& expression, float wanted, const std::string& declarations = "") {
  const float got = evaluate(expression, 1, declarations)[0];
  if (!(got == wanted || (std::isnan(got) && std::isnan(wanted))))
    harness::fail(__FILE__, __LINE__, expression + " is " + std::to_string(got) + ", not " + std::to_string(wanted));
}

TEST(vectors_construct_convert_and_swizzle) {
  expect("float4(1, 2, 3, 4).wzyx.y", 3);
  expect("dot(float4(float2(1, 2), 3, 4), float4(1))", 10);
  expect("float3(int3(1, 2, 3)).z", 3);
  expect("float(half4(1.5h).w)", 1.5f);
  expect("float4(half4(float4(0.1f))).x", (float)(_Float16)0.1f);
  expect("float(uint2(3, 4).y + ushort2(1, 2).x)", 5);
  expect("length(float2(3, 4))", 5);
  expect("float(all(float2(1, 2) < float2(2, 3)))", 1);
  expect("float(any(int3(1, 2, 3) == int3(0, 2, 0)))", 1);
  expect("select(float4(1), float4(2), float4(1, 5, 1, 1) > float4(2)).y", 2);
  expect("vec<float, 4>(1, 2, 3, 4).z", 3);
  expect("V(half4(2)).x", 2, "using V = float4;");
  expect("W(float4(2.9f)).x", 2, "typedef int4 W;");
  expect("float(sizeof(packed_float3) + alignof(packed_float3) + sizeof(float3))", 12 + 4 + 16);
  expect("float3(packed_float3(float3(1, 2, 3))).y", 2);
  expect("as_type<float>(0x3f800000u)", 1);
  expect("float(as_type<ushort>(half(1.0h)))", 0x3c00);
  expect("float(as_type<half2>(0x40003c00u).y)", 2);
}

TEST(scalar_functions_are_correct) {
  expect("fma(3.0f, 4.0f, 5.0f)", 17);
  expect("fma(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, -1.0f)", 0x1p-11f + 0x1p-24f);
  expect("clamp(5, 1, 3)", 3);
  expect("clamp(-2.0f, -1.0f, 1.0f)", -1);
  expect("max(NAN, 2.0f)", 2);
  expect("float(isnan(NAN)) + float(isinf(-INFINITY)) + float(isfinite(1.0f))", 3);
  expect("precise::exp(1.0f)", expf(1));
  expect("fast::tanh(0.5f)", tanhf(0.5f));
  expect("exp2(10.0f) + log2(8.0f) + rsqrt(4.0f) + sqrt(9.0f)", 1024 + 3 + 0.5f + 3);
  expect("sin(1.0f) + cos(1.0f)", sinf(1) + cosf(1));
  expect("float(popcount(255u) + clz(1u) + ctz(8u))", 8 + 31 + 3);
  expect("select(1.0f, 2.0f, true)", 2);
  expect("rint(2.5f) + round(2.5f) + trunc(-2.7f) + floor(-0.5f) + ceil(0.5f)", 2 + 3 - 2 - 1 + 1);
  expect("ldexp(3.0f, 4) + sign(-2.0f) + abs(-3)", 48 - 1 + 3);
  expect("pow(2.0f, 5.0f) + fmod(7.0f, 4.0f) + mix(1.0f, 3.0f, 0.5f)", 32 + 3 + 2);
  expect("float(mulhi(0x80000000u, 4u))", 2);
}

TEST(no_contraction_and_half_rounds_each_operation) {
  expect("x * x - 1.0f", (1 + 0x1p-12f) * (1 + 0x1p-12f) - 1.0f, "constant float x = 1.0f + 0x1p-12f;");
  const _Float16 a = 0.1f, b = 0.2f, c = 0.3f;
  const _Float16 sum = (_Float16)((float)(_Float16)((float)a + (float)b) + (float)c);
  expect("float(half(0.1f) + half(0.2f) + half(0.3f))", (float)sum);
}

TEST(program_scope_constants_and_structures) {
  expect("table[i + 2]", 30, "constant float table[4] = {10, 20, 30, 40};");
  expect("float(p.count) + p.scale", 5.5f, "struct P { uint count; float scale; }; constant P p = {5, 0.5f};");
  expect("float(numeric_limits<float>::max() == FLT_MAX)", 1);
}

TEST(thread_positions) {
  const char* source = R"(
    kernel void positions(device uint* out [[buffer(0)]], uint3 inGrid [[thread_position_in_grid]], ushort3 inGroup [[thread_position_in_threadgroup]],
                          uint3 group [[threadgroup_position_in_grid]], uint3 size [[threads_per_threadgroup]], uint3 full [[dispatch_threads_per_threadgroup]],
                          uint3 groups [[threadgroups_per_grid]], uint3 grid [[threads_per_grid]], uint index [[thread_index_in_threadgroup]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]], ushort lane [[thread_index_in_simdgroup]],
                          uint simdgroups [[simdgroups_per_threadgroup]], uint width [[threads_per_simdgroup]]) {
      device uint* row = out + (inGrid.y * grid.x + inGrid.x) * 12;
      row[0] = inGroup.x; row[1] = inGroup.y; row[2] = group.x; row[3] = group.y; row[4] = size.x; row[5] = size.y;
      row[6] = full.x; row[7] = groups.x; row[8] = index; row[9] = simdgroup * 100 + lane; row[10] = simdgroups; row[11] = width;
    })";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "positions");
  id<MTLBuffer> out = gpu::emptyBuffer(19 * 9 * 12 * 4);
  CHECK_EQUAL(gpu::compute([&](id<MTLComputeCommandEncoder> encoder) {
                [encoder setComputePipelineState:pipeline];
                [encoder setBuffer:out offset:0 atIndex:0];
                [encoder dispatchThreads:MTLSizeMake(19, 9, 1) threadsPerThreadgroup:MTLSizeMake(8, 8, 1)];
              }),
              "");
  const auto values = gpu::values<uint32_t>(out);
  const uint32_t* last = values.data() + (8 * 19 + 18) * 12;  // the partial group in the corner: 3 x 1 threads
  const uint32_t wanted[12] = {2, 0, 2, 1, 3, 1, 8, 3, 2, 2, 1, 32};
  for (int k = 0; k < 12; k++) CHECK_EQUAL(last[k], wanted[k]);
}

TEST(templates_are_instantiated_under_their_host_names) {
  const char* source = R"(
    template <typename T, int N> [[kernel]] void scale(device T* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
      a[i] = T(float(a[i]) * s) * T(N);
    }
    #define INSTANCE(T, N) template [[host_name("scale_" #T "_" #N)]] [[kernel]] void scale<T, N>(device T* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]);
    INSTANCE(float, 2)
    INSTANCE(half, 3)
    typedef decltype(scale<int, 1>) F;
    template [[host_name("by_type")]] [[kernel]] F scale<int, 1>;
  )";
  id<MTLLibrary> library = gpu::library(source);
  CHECK_EQUAL([library.functionNames componentsJoinedByString:@" "].UTF8String, std::string("by_type scale_float_2 scale_half_3"));
  id<MTLBuffer> floats = gpu::buffer<float>({1, 2, 3}), factor = gpu::buffer<float>({10}), ints = gpu::buffer<int>({7});
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(source, "scale_float_2"), {floats, factor}, {.threads = MTLSizeMake(3, 1, 1)}), "");
  CHECK_EQUAL(gpu::values<float>(floats)[2], 60.0f);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(source, "by_type"), {ints, factor}, {.threads = MTLSizeMake(1, 1, 1)}), "");
  CHECK_EQUAL(gpu::values<int>(ints)[0], 70);
}

static const char* const kConstants = R"(
  constant bool kFlip [[function_constant(0)]];
  constant uint kCount [[function_constant(1)]];
  constant float2 kPair [[function_constant(2)]];
  constant uint kTwice = is_function_constant_defined(kCount) ? kCount * 2 : 99;
  float helper() { return kFlip ? -1.0f : 1.0f; }
  kernel void every(device float* out [[buffer(0)]]) { out[0] = helper() * float(kTwice) + kPair.y; }
  kernel void optional(device float* out [[buffer(0)]]) { out[0] = float(kTwice); }
  kernel void none(device float* out [[buffer(0)]]) { out[0] = 1; }
)";

static MTLFunctionConstantValues* constants(bool flip, uint32_t count, bool pair) {
  MTLFunctionConstantValues* values = [[MTLFunctionConstantValues alloc] init];
  [values setConstantValue:&flip type:MTLDataTypeBool atIndex:0];
  if (count) [values setConstantValue:&count type:MTLDataTypeUInt withName:@"kCount"];
  const float two[2] = {0.25f, 0.5f};
  if (pair) [values setConstantValue:two type:MTLDataTypeFloat2 atIndex:2];
  return values;
}

TEST(function_constants_specialise) {
  id<MTLBuffer> out = gpu::emptyBuffer(4);
  const MTLSize one = MTLSizeMake(1, 1, 1);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(kConstants, "every", constants(true, 5, true)), {out}, {.threads = one}), "");
  CHECK_EQUAL(gpu::values<float>(out)[0], -9.5f);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(kConstants, "every", constants(false, 7, true)), {out}, {.threads = one}), "");
  CHECK_EQUAL(gpu::values<float>(out)[0], 14.5f);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(kConstants, "optional", constants(false, 0, false)), {out}, {.threads = one}), "");
  CHECK_EQUAL(gpu::values<float>(out)[0], 99.0f);
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(kConstants, "none"), {out}, {.threads = one}), "");
}

TEST(function_constants_are_reflected_and_required) {
  id<MTLLibrary> library = gpu::library(kConstants);
  id<MTLFunction> function = [library newFunctionWithName:@"every"];
  CHECK_EQUAL(function.functionConstantsDictionary.count, 3u);
  CHECK(function.functionConstantsDictionary[@"kFlip"].required && !function.functionConstantsDictionary[@"kCount"].required);
  NSError* error = nil;
  CHECK([gpu::device() newComputePipelineStateWithFunction:function error:&error] == nil);
  CHECK_CONTAINS(error.localizedDescription.UTF8String, "requires a value for the function constant");
  CHECK([library newFunctionWithName:@"every" constantValues:constants(true, 1, false) error:&error] == nil);
  CHECK_CONTAINS(error.localizedDescription.UTF8String, "kPair");
  MTLFunctionConstantValues* wrong = constants(true, 1, true);
  const float notBool = 1;
  [wrong setConstantValue:&notBool type:MTLDataTypeFloat atIndex:0];
  CHECK([library newFunctionWithName:@"every" constantValues:wrong error:&error] == nil);
  CHECK_CONTAINS(error.localizedDescription.UTF8String, "has type");
  CHECK([library newFunctionWithName:@"absent"] == nil);
  CHECK([library newFunctionWithName:@"absent" constantValues:constants(true, 1, true) error:&error] == nil &&
        error.code == MTLLibraryErrorFunctionNotFound);
}

TEST(compile_errors_name_the_line) {
  CHECK_CONTAINS(gpu::compileError("kernel void f(device float* a [[buffer(0)]]) {\n  a[0] = nope;\n}"),
                 "program_source:4:10: error: use of undeclared identifier 'nope'");
  CHECK_CONTAINS(gpu::compileError("kernel void f(device float* a) {}"),
                 "program_source:3: error: parameter 'a' of kernel 'f' has no attribute");
  CHECK_CONTAINS(gpu::compileError("kernel void f(device float* a [[stage_in]]) {}"), "has no known attribute: [[stage_in]]");
  CHECK_CONTAINS(gpu::compileError("kernel int f(device float* a [[buffer(0)]]) { return 1; }"), "a kernel must return void");
  CHECK_CONTAINS(gpu::compileError("void g() { threadgroup float s[4]; s[0] = 1; }\nkernel void f(device float* a [[buffer(0)]]) { g(); }"),
                 "must be declared in the outermost scope of a kernel");
  CHECK_CONTAINS(gpu::compileError("#error stop here\n"), "stop here");
}

TEST(macros_and_metal_version_reach_the_source) {
  MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  options.preprocessorMacros = @{@"SCALE" : @"3.5f", @"COUNT" : @2};
  options.languageVersion = MTLLanguageVersion3_0;
  NSError* error = nil;
  id<MTLLibrary> library =
      [gpu::device() newLibraryWithSource:@"#include <metal_stdlib>\n#if __METAL_VERSION__ != 300\n#error version\n#endif\n"
                                          @"kernel void f(device float* a [[buffer(0)]]) { a[0] = SCALE * COUNT; }"
                                  options:options
                                    error:&error];
  CHECK(library != nil);
}

TEST(atomics_count_exactly) {
  const char* source = R"(
    kernel void count(device atomic_uint* bins [[buffer(0)]], device atomic_float* total [[buffer(1)]], device atomic_int* extremes [[buffer(2)]], uint i [[thread_position_in_grid]]) {
      atomic_fetch_add_explicit(&bins[i % 4], 1u, memory_order_relaxed);
      atomic_fetch_add_explicit(total, 0.5f, memory_order_relaxed);
      atomic_fetch_max_explicit(&extremes[0], int(i), memory_order_relaxed);
      atomic_fetch_min_explicit(&extremes[1], -int(i), memory_order_relaxed);
    })";
  id<MTLBuffer> bins = gpu::buffer<uint32_t>({0, 0, 0, 0}), total = gpu::buffer<float>({0}), extremes = gpu::buffer<int>({0, 0});
  CHECK_EQUAL(gpu::dispatch(gpu::pipeline(source, "count"), {bins, total, extremes},
                            {.groups = MTLSizeMake(4, 1, 1), .threads = MTLSizeMake(64, 1, 1)}),
              "");
  CHECK_EQUAL(gpu::values<uint32_t>(bins)[3], 64u);
  CHECK_EQUAL(gpu::values<float>(total)[0], 128.0f);
  CHECK_EQUAL(gpu::values<int>(extremes)[0], 255);
  CHECK_EQUAL(gpu::values<int>(extremes)[1], -255);
}

TEST(max_total_threads_attribute_reaches_the_pipeline) {
  CHECK_EQUAL(gpu::pipeline("[[max_total_threads_per_threadgroup(192)]] kernel void f(device float* a [[buffer(0)]]) { a[0] = 1; }", "f")
                  .maxTotalThreadsPerThreadgroup,
              192u);
  CHECK_EQUAL(gpu::pipeline("kernel [[max_total_threads_per_threadgroup(32 * 2)]] void f(device float* a [[buffer(0)]]) { a[0] = 1; }", "f")
                  .maxTotalThreadsPerThreadgroup,
              64u);
}

TEST(attribute_lists_and_program_scope_constants_in_them) {
  const char* source = R"(
    constant uint kThreads = 96;
    constant uint kSlot = 1;
    template <typename T> [[kernel, max_total_threads_per_threadgroup(kThreads)]] void f(device T* a [[buffer(kSlot + 1)]], uint i [[thread_position_in_grid]]) { a[i] = T(i); }
    template [[host_name("f_" "float")]] [[kernel]] void f<float>(device float* a [[buffer(kSlot + 1)]], uint i [[thread_position_in_grid]]);
  )";
  id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "f_float");
  CHECK_EQUAL(pipeline.maxTotalThreadsPerThreadgroup, 96u);
  id<MTLBuffer> out = gpu::emptyBuffer(4 * 96);
  CHECK_EQUAL(gpu::dispatch(pipeline, {nil, nil, out}, {.threads = MTLSizeMake(96, 1, 1)}), "");
  CHECK_EQUAL(gpu::values<float>(out)[95], 95.0f);
}

TEST(static_threadgroup_memory_is_counted_by_kernel) {
  const char* source = R"(
    #define BODY(T, n) threadgroup T s[n]; s[i] = T(i); threadgroup_barrier(mem_flags::mem_threadgroup); a[i] = float(s[i ^ 1]);
    kernel void small(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { BODY(float, 32) }
    kernel void large(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
      threadgroup float u[8];
      u[i % 8] = 1;
      BODY(float, 4096)
      a[i] += u[i % 7];
    }
    template <typename T> [[kernel]] void typed(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { BODY(T, 1024) }
    template [[host_name("typed_float")]] [[kernel]] void typed<float>(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]);
    template [[host_name("typed_half")]] [[kernel]] void typed<half>(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]);
    kernel void huge(device float* a [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { BODY(float, 9000) }
  )";
  CHECK_EQUAL(gpu::pipeline(source, "small").staticThreadgroupMemoryLength, 128u);
  CHECK_EQUAL(gpu::pipeline(source, "large").staticThreadgroupMemoryLength, 16384u + 32);
  CHECK_EQUAL(gpu::pipeline(source, "typed_float").staticThreadgroupMemoryLength, 4096u);
  CHECK_EQUAL(gpu::pipeline(source, "typed_half").staticThreadgroupMemoryLength, 2048u);
  NSError* error = nil;
  CHECK([gpu::device() newComputePipelineStateWithFunction:[gpu::library(source) newFunctionWithName:@"huge"] error:&error] == nil);
  CHECK_CONTAINS(error.localizedDescription.UTF8String, "exceed 32768");
}
