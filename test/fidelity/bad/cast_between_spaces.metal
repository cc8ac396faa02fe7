// expect: cast to another address space
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  threadgroup float part[32];
  part[0] = s;
  a[i] = *(device float*)(part);
}
