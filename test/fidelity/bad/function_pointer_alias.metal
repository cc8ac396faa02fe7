// expect: call through a pointer
#include <metal_stdlib>
using namespace metal;
typedef float Function(float);
inline float twice(float x) { return 2.0f * x; }
inline float apply(Function f, float x) { return f(x); }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = apply(twice, s); }
