// expect: a reference without an address space
#include <metal_stdlib>
using namespace metal;
struct Pair {
  float x, y;
};
inline void clear(Pair& p) { p.x = 0.0f; }
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  Pair p = {s, s};
  clear(p);
  a[i] = p.y;
}
