// A value of a stream that no convolution computes: its head from the state before, the rest copied from elsewhere.
// Grid: one thread an element of [N, C, head + fresh], threads stride beyond it.
// Traffic: read and write once, 2 sizeof(T) bytes an element, and the part that is kept once more.
#include "common.h"
#include "stream.h"

struct StreamValue {  // stream.mm
  StreamPart part;
  ulong rows, channels;
  ulong from_pitch, from_start;  // of what is copied, in elements
};

template <typename T>
[[kernel]] void stream_value(device const T* from [[buffer(0)]], device const T* before [[buffer(1)]], device T* value [[buffer(2)]],
                             device T* after [[buffer(3)]], constant StreamValue& p [[buffer(4)]],
                             uint thread_index [[thread_position_in_grid]], uint grid [[threads_per_grid]]) {
  const ulong steps = p.part.head + p.part.fresh, heads = p.rows * p.part.head, count = p.rows * steps;
  for (ulong i = thread_index; i < count; i += grid) {
    if (i < heads) {
      take_head(before, value, after, p.part, p.channels, steps, i);
      continue;
    }
    const ulong t = (i - heads) % p.part.fresh, row = (i - heads) / p.part.fresh;
    const T x = from[row * p.from_pitch + p.from_start + t];
    value[row * steps + p.part.head + t] = x;
    keep_step(after, p.part, row / p.channels, row % p.channels, p.part.head + t, x);
  }
}

template [[host_name("stream_value_2")]] [[kernel]] decltype(stream_value<ushort>) stream_value<ushort>;
template [[host_name("stream_value_4")]] [[kernel]] decltype(stream_value<uint>) stream_value<uint>;
