// expect: cannot initialize object parameter
#include <metal_stdlib>
using namespace metal;
struct Pair {
  float x, y;
  float sum() const { return x + y; }
};
kernel void f(device Pair* a [[buffer(0)]], device float* b [[buffer(1)]], uint i [[thread_position_in_grid]]) { b[i] = a[i].sum(); }
