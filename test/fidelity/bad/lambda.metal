// expect: lambda
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  const auto scaled = [=](float x) { return x * s; };
  a[i] = scaled(a[i]);
}
