// expect: no matching function
#include <metal_stdlib>
using namespace metal;
inline void put(device float* p, float x) { *p = x; }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup float part[32];
  put(part, s);
  a[i] = part[0];
}
