// expect: goto
#include <metal_stdlib>
using namespace metal;
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  if (i > 8) goto end;
  a[i] = s;
end:;
}
