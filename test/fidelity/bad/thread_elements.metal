// expect: thread_elements
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  simdgroup_float8x8 m(s);
  a[i] = m.thread_elements()[0];
}
