// expect: recursion
#include <metal_stdlib>
using namespace metal;
inline uint odd(uint n);
inline uint even(uint n) { return n == 0 ? 1 : odd(n - 1); }
inline uint odd(uint n) { return n == 0 ? 0 : even(n - 1); }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = s * float(even(i)); }
