// expect: variable length arrays
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float x[i + 1];
  x[i] = s;
  a[i] = x[i];
}
