// Convolution with few output channels a group (depthwise, grouped, the last layer of a vocoder): one thread an output element, summed
// over channels and taps in order.
// Grid: one thread an element of y (and of the head of a stream's value), neighbours along the width. Traffic: y written once; x is read
// taps * outputs times and the weight once a position, nearly all of it from the caches. Floating-point operations: 2 a tap and channel.
#include "conv.h"

template <typename T, typename I>
inline void conv_element(CONV_PARAMETERS(T), ulong i) {
  const ulong outW = ulong(p.axis[1].out), outH = ulong(p.axis[0].out);
  const ulong w = i % outW, h = i / outW % outH, plane = i / outW / outH;
  const uint outputs = p.outputs * p.groups, output = uint(plane % outputs);
  const ulong batch = plane / outputs;
  const uint inGroup = output / p.outputs, kernelW = p.axis[1].kernel_size, kernel_area = p.axis[0].kernel_size * kernelW;
  const ulong strideH = kTransposed ? ulong(p.axis[0].stride) : 1, strideW = kTransposed ? ulong(p.axis[1].stride) : 1;
  const Reach<I> rh = reach<I>(p.axis[0], uint(h % strideH)), rw = reach<I>(p.axis[1], uint(w % strideW));
  const I inH = I(p.axis[0].in), inW = I(p.axis[1].in);
  const I baseH = I(h / strideH) * rh.step + rh.base, baseW = I(w / strideW) * rw.step + rw.base;
  const ConvPrologue prologue = CONV_PROLOGUE;
  float sum = 0.0f;
  for (uint c = 0; c < p.channels; c++) {
    const uint channel = inGroup * p.channels + c;
    device const T* from = x + (batch * p.groups * p.channels + channel) * p.x.pitch + p.x.start;
    device const T* taps =
        weight + (kTransposed ? ulong(channel) * p.outputs + output % p.outputs : ulong(output) * p.channels + c) * kernel_area;
    for (uint kh = 0; kh < rh.taps; kh++) {
      I ih = baseH + I(kh) * rh.tapStep;
      if (!inside(ih, inH)) continue;
      for (uint kw = 0; kw < rw.taps; kw++) {
        I iw = baseW + I(kw) * rw.tapStep;
        if (!inside(iw, inW)) continue;
        const float value = prologue.apply(widen(from[ih * inW + iw]), channel);
        sum = fma(value, widen(taps[(rh.first + kh * rh.every) * kernelW + rw.first + kw * rw.every]), sum);
      }
    }
  }
  const ConvEpilogue<T> epilogue = CONV_EPILOGUE;
  put_element(y, after, p, epilogue, sum, batch, output, h * outW + w);
}

template <typename T>
[[kernel]] void conv_direct(CONV_ARGUMENTS(T), uint thread_index [[thread_position_in_grid]], uint grid [[threads_per_grid]]) {
  const ulong rows = p.batches * p.outputs * p.groups, count = rows * ulong(p.axis[0].out) * ulong(p.axis[1].out);
  for (ulong i = thread_index; i < count + rows * p.part.head; i += grid) {
    if (i >= count) {
      take_head(before, y, after, p.part, p.outputs * p.groups, p.y.pitch, i - count);
    } else if (kWide) {
      conv_element<T, long>(CONV_FORWARD, i);
    } else {
      conv_element<T, int>(CONV_FORWARD, i);
    }
  }
}
INSTANTIATE(conv_direct)
