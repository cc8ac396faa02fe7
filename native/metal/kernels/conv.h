// What the convolution kernels share: where an output element reads, what is done to inputs on the way in and to sums on the way out.
//   y = post(outScale (s conv(pre(x), weight) + bias + residual + running))
// A transposed convolution is taken apart by phase (output index modulo stride): each phase is an ordinary convolution with the taps
// that reach it, read at unit stride. Nothing is written but y, and no scaled weight ever exists.
#pragma once
#include "common.h"
#include "stream.h"

constant bool kTransposed [[function_constant(0)]];
constant bool kWide [[function_constant(1)]];   // an index or extent passes 32 bits
constant uint kScale [[function_constant(2)]];  // 0 none, 1 one value, 2 one an output channel, 3 one an input channel
constant bool kBias [[function_constant(3)]];
constant bool kResidual [[function_constant(4)]];
constant bool kRunning [[function_constant(5)]];
constant uint kPadMode [[function_constant(6)]];  // core::PadMode
constant uint kPre [[function_constant(7)]];      // core::Act
constant uint kPost [[function_constant(8)]];
constant bool kPreLogScale [[function_constant(9)]];
constant bool kPostLogScale [[function_constant(10)]];

constant uint kPadZeros = 0, kPadReflect = 1, kPadReplicate = 2, kPadCircular = 3;

// One axis of the geometry, height or width. For transposed convolutions padBegin is the crop.
struct ConvAxis {
  long in, out, stride, dilation, padBegin;
  uint kernel_size, unused;
};
// Rows of a tensor, one a batch and channel, in elements.
struct ConvRows {
  ulong pitch, start;
};
struct ConvParams {  // conv.mm
  ConvAxis axis[2];  // height, width
  ConvRows x, residual, running, y;
  StreamPart part;  // of a stream's value; all zero otherwise
  ulong batches;
  uint channels, outputs, groups;  // channels and outputs of one group
  uint biasType, preType, postType;
  float preParam, postParam, outScale;
  uint tiles;  // of outputs, a group (GEMM)
};

// Taps and input indices of the output indices of one phase of one axis:
// output o = position * outStride + phase reads input position * step + base + tap * tapStep, for tap = 0 .. taps - 1,
// which is the kernel's tap first + tap * every.
template <typename I>
struct Reach {
  I step, base, tapStep;
  uint taps, first, every;
};

inline uint common_divisor(uint a, uint b) {
  while (b != 0) {
    const uint rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

template <typename I>
inline Reach<I> reach(constant ConvAxis& axis, uint phase) {
  if (!kTransposed) {
    Reach<I> r = {I(axis.stride), I(-axis.padBegin), I(axis.dilation), axis.kernel_size, 0, 1};
    return r;
  }
  // Kernel taps k with (phase + crop - k dilation) a multiple of the stride: every `every`th one from `first`.
  const uint stride = uint(axis.stride);
  const uint every = stride / common_divisor(stride, uint(axis.dilation % axis.stride));
  const uint residue = uint((phase + axis.padBegin) % axis.stride), turn = uint(axis.dilation % axis.stride);
  uint first = 0, at = 0;
  while (first < every && at != residue) {
    first++;
    at = (at + turn) % stride;
  }
  const bool any = first < every && first < axis.kernel_size;
  Reach<I> r;
  r.step = 1;
  r.base = any ? I((long(phase) + axis.padBegin - long(first) * axis.dilation) / axis.stride) : I(0);
  r.tapStep = I(-(long(every) * axis.dilation / axis.stride));
  r.taps = any ? (axis.kernel_size - 1 - first) / every + 1 : 0;
  r.first = first;
  r.every = every;
  return r;
}

// The input index that an index past the ends stands for; false where it stands for zero.
template <typename I>
inline bool inside(thread I& i, I length) {
  if (i >= 0 && i < length) return true;
  if (kTransposed || kPadMode == kPadZeros) return false;
  if (kPadMode == kPadReflect) i = i < 0 ? -i : 2 * (length - 1) - i;
  if (kPadMode == kPadReplicate) i = i < 0 ? I(0) : length - 1;
  if (kPadMode == kPadCircular) i = i < 0 ? i + length : i - length;
  return true;
}

struct ConvPrologue {
  device const float* scale;
  device const uchar* alpha;
  uint alphaType;
  float param;

  // `channel` counts over all groups.
  float apply(float x, uint channel) const {
    const float a = kPre == kActSnake ? snake_alpha(load_any(alpha, alphaType, channel), kPreLogScale) : 0.0f;
    const float active = activate(kPre, x, param, a);
    return kScale == 3 ? active * scale[channel] : active;
  }
};

template <typename T>
struct ConvEpilogue {
  device const float* scale;
  device const uchar* bias;
  device const T* residual;
  device const T* running;
  device const uchar* alpha;
  uint biasType, alphaType;
  float param, outScale;

  // `channel` counts over all groups; `row` of batches and channels, element `i` of it.
  float apply(float sum, uint channel, constant ConvParams& p, ulong row, ulong i) const {
    float value = sum;
    if (kScale == 1) value = value * scale[0];
    if (kScale == 2) value = value * scale[channel];
    if (kBias) value = value + load_any(bias, biasType, channel);
    if (kResidual) value = value + widen(residual[row * p.residual.pitch + p.residual.start + i]);
    if (kRunning) value = value + widen(running[row * p.running.pitch + p.running.start + i]);
    const float a = kPost == kActSnake ? snake_alpha(load_any(alpha, alphaType, channel), kPostLogScale) : 0.0f;
    return activate(kPost, value * outScale, param, a);
  }
};

// One element of y: written, and handed on to the state of a stream.
template <typename T>
inline void put_element(device T* y, device T* after, constant ConvParams& p, thread const ConvEpilogue<T>& epilogue, float sum,
                        ulong batch, uint channel, ulong i) {
  const ulong row = batch * (p.outputs * p.groups) + channel;
  const T value = narrow<T>(epilogue.apply(sum, channel, p, row, i));
  y[row * p.y.pitch + p.y.start + i] = value;
  keep_step(after, p.part, batch, channel, p.part.head + i, value);
}

#define CONV_ARGUMENTS(T)                                                                                                     \
  device const T *x [[buffer(0)]], device const T *weight [[buffer(1)]], device const uchar *bias [[buffer(2)]],              \
      device const float *scale [[buffer(3)]], device const T *residual [[buffer(4)]], device const T *running [[buffer(5)]], \
      device const uchar *preAlpha [[buffer(6)]], device const uchar *postAlpha [[buffer(7)]], device T *y [[buffer(8)]],     \
      constant ConvParams &p [[buffer(9)]], device const T *before [[buffer(10)]], device T *after [[buffer(11)]]
// The same, handed on to a function.
#define CONV_PARAMETERS(T)                                                                                                       \
  device const T *x, device const T *weight, device const uchar *bias, device const float *scale, device const T *residual,      \
      device const T *running, device const uchar *preAlpha, device const uchar *postAlpha, device T *y, constant ConvParams &p, \
      device T *after
#define CONV_FORWARD x, weight, bias, scale, residual, running, preAlpha, postAlpha, y, p, after
#define CONV_PROLOGUE {scale, preAlpha, p.preType, p.preParam}
#define CONV_EPILOGUE {scale, bias, residual, running, postAlpha, p.biasType, p.postType, p.postParam, p.outScale}
