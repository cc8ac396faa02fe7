// expect: 0.5 is a double
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = s * 0.5; }
