// expect: dynamic allocation
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  thread float* p = new float[4];
  p[0] = s;
  a[i] = p[0];
}
