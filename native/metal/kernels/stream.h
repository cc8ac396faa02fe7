// What a push of a stream does around each value [N, C, head + fresh]: its head comes from the state before, its end goes to the state
// after. State is [N, elements]: a row a stream, in it [C, steps] of each value.
#pragma once

struct StreamPart {             // stream.h
  ulong before_pitch, head_at;  // of the state before: elements a stream, and where the head begins
  ulong after_pitch, keep_at;
  ulong head, fresh, keep;  // time steps
};

// Hands time step t of a value to the state after, where it is one of the last `keep`.
template <typename T>
inline void keep_step(device T* after, constant StreamPart& p, ulong batch, ulong channel, ulong t, T value) {
  const ulong steps = p.head + p.fresh;
  if (p.keep == 0 || t + p.keep < steps) return;
  after[batch * p.after_pitch + p.keep_at + channel * p.keep + (t + p.keep - steps)] = value;
}

// Element i of the [N, C, head] that were kept, into rows of `pitch` elements.
template <typename T>
inline void take_head(device const T* before, device T* value, device T* after, constant StreamPart& p, ulong channels, ulong pitch,
                      ulong i) {
  const ulong t = i % p.head, row = i / p.head, channel = row % channels, batch = row / channels;
  const T x = before[batch * p.before_pitch + p.head_at + channel * p.head + t];
  value[row * pitch + t] = x;
  keep_step(after, p, batch, channel, t, x);
}
