// expect: derived structure
#include <metal_stdlib>
using namespace metal;
struct Base {
  float x;
};
struct Derived : Base {
  float y;
};
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  Derived d;
  d.x = s;
  a[i] = d.x;
}
