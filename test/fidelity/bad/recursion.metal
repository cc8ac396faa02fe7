// expect: recursion
#include <metal_stdlib>
using namespace metal;
inline float power(float x, uint n) { return n == 0 ? 1.0f : x * power(x, n - 1); }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = power(s, i); }
