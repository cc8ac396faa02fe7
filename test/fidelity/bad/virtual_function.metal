// expect: virtual function
#include <metal_stdlib>
using namespace metal;
struct Scale {
  virtual float apply(float x) const { return x; }
};
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  Scale scale;
  a[i] = scale.apply(s);
}
