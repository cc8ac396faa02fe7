// expect: the standard library
#include <metal_stdlib>
using namespace metal;
namespace std {
inline float twice(float x) { return 2.0f * x; }
}
kernel void f(device float* a [[buffer(0)]], constant float& s [[buffer(1)]], uint i [[thread_position_in_grid]]) { a[i] = std::twice(s); }
