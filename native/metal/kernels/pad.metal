// y = x padded on the last axis; elements are 2 or 4 bytes whatever they mean (zero is zero in each).
// Grid: x over a row of y, y over rows, threads stride beyond it; threadgroup 256 threads shaped to the row.
// Traffic: writes y once, reads x once (the padding's source from cache), the least possible.
#include "common.h"

constant uint kMode [[function_constant(0)]];  // core::PadMode
constant uint kZeros = 0, kReflect = 1, kReplicate = 2;

struct PadParams {
  ulong rows;
  long length, left, padded;  // of x's last axis, before it, of y's
};

// The element of x that stands at `i`, counted from x's first; reflect needs pads below the length, circular up to it.
inline long source_of(long i, long length) {
  if (i >= 0 && i < length) return i;
  if (kMode == kReflect) return i < 0 ? -i : 2 * (length - 1) - i;
  if (kMode == kReplicate) return i < 0 ? 0 : length - 1;
  return i < 0 ? i + length : i - length;
}

template <typename T>
[[kernel]] void pad(device const T* x [[buffer(0)]], device T* y [[buffer(1)]], constant PadParams& p [[buffer(2)]],
                    uint2 at [[thread_position_in_grid]], uint2 grid [[threads_per_grid]]) {
  for (ulong row = at.y; row < p.rows; row += grid.y) {
    device const T* from = x + row * ulong(p.length);
    device T* to = y + row * ulong(p.padded);
    for (long i = at.x; i < p.padded; i += grid.x) {
      const long at_x = i - p.left;
      T value = T(0);
      if (kMode != kZeros || (at_x >= 0 && at_x < p.length)) value = from[source_of(at_x, p.length)];
      to[i] = value;
    }
  }
}

template [[host_name("pad_2")]] [[kernel]] decltype(pad<ushort>) pad<ushort>;
template [[host_name("pad_4")]] [[kernel]] decltype(pad<uint>) pad<uint>;
