// expect: no matching function
#include <metal_stdlib>
using namespace metal;
template <typename T>
inline T first(threadgroup const T* p) {
  return p[0];
}
template <typename T, bool Wrong>
[[kernel]] void g(device T* a [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup T part[2];
  part[0] = T(i);
  a[i] = Wrong ? first<T>(a) : first<T>(part);
}
template [[host_name("g_half")]] [[kernel]] decltype(g<half, true>) g<half, true>;
