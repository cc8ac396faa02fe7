// expect: a pointer without an address space
#include <metal_stdlib>
using namespace metal;
inline float first(const float* p) { return p[0]; }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float x[2] = {s, s};
  a[i] = first(x);
}
