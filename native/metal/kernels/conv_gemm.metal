// Convolution as an implicit matrix product (gemm.h): M = output channels of a group, N = batches * positions, K = channels * taps.
// x is gathered, activated and scaled while it is staged; the epilogue writes y once.
// Grid: [N / BN, groups * (M / BM), phases] threadgroups of 128 threads (phases: stride height * stride width when transposed, else 1).
// A stream's value has one phase more, whose threadgroups copy its head.
// Traffic: x read M / BM times (taps of one tile share the cache), the weight N / BN times, y written once; the least possible is one
// read of x and the weight and one write of y. Floating-point operations: 2 M N K.
#include "conv.h"
#include "gemm.h"

// Walks K = channels * taps of both axes in order, a fixed number of steps at a time.
struct Walk {
  uint channel, h, w;

  void start(uint at, uint tapsH, uint tapsW) {
    channel = h = w = 0;
    if (tapsH * tapsW != 0) advance(at, tapsH, tapsW);
  }
  void advance(uint by, uint tapsH, uint tapsW) {
    if (tapsH * tapsW == 1) {
      channel += by;
      return;
    }
    w += by;
    while (w >= tapsW) {
      w -= tapsW;
      if (++h == tapsH) {
        h = 0;
        channel++;
      }
    }
  }
};

// The weight of a group as [outputs, K]: rows contiguous, or for a transposed convolution [channels, outputs, taps].
template <typename T, typename I, int BM>
struct LoadWeight {
  LoadRows<T, BM> rows;  // plain convolutions
  device const T* weight;
  uint channels, outputs, first, thread_index;
  Reach<I> h, w;
  uint kernelH, kernelW;
  Walk walk;

  void stage(threadgroup float* memory, uint start) {
    if (!kTransposed) {
      rows.stage(memory, start);
      return;
    }
    const uint m = thread_index % BM;
    for (uint k = thread_index / BM; k < kStep; k += kGemmThreads / BM) {
      float value = 0.0f;
      if (walk.channel < channels && first + m < outputs) {
        const uint tap = (h.first + walk.h * h.every) * kernelW + w.first + walk.w * w.every;
        value = widen(weight[(ulong(walk.channel) * outputs + first + m) * (kernelH * kernelW) + tap]);
      }
      memory[m * kPitchA + k] = value;
      walk.advance(kGemmThreads / BM, h.taps, w.taps);
    }
  }
};

// Columns of x: one output position each, gathered tap by tap.
template <typename T, typename I, int BN>
struct LoadInput {
  device const T* x;  // of this batch and group
  uint channels, firstChannel, thread_index;
  Reach<I> h, w;
  I pitch, inH, inW, baseH, baseW;
  bool valid;
  ConvPrologue prologue;
  Walk walk;

  void stage(threadgroup float* memory, uint) {
    const uint n = thread_index % BN;
    for (uint k = thread_index / BN; k < kStep; k += kGemmThreads / BN) {
      float value = 0.0f;
      if (valid && walk.channel < channels) {
        I ih = baseH + I(walk.h) * h.tapStep, iw = baseW + I(walk.w) * w.tapStep;
        if (inside(ih, inH) && inside(iw, inW)) {
          value = prologue.apply(widen(x[I(walk.channel) * pitch + ih * inW + iw]), firstChannel + walk.channel);
        }
      }
      memory[k * GEMM_PITCH_B(BN) + n] = value;
      walk.advance(kGemmThreads / BN, h.taps, w.taps);
    }
  }
};

// The place of position n: batch, then row, then column of this phase.
struct Position {
  ulong batch, h, w;
  bool valid;
};
template <typename U>
inline Position position_of(U n, U positionsH, U positionsW, ulong batches) {
  const U plane = n / positionsW;
  const Position at = {plane / positionsH, plane % positionsH, n % positionsW, plane / positionsH < batches};
  return at;
}

template <typename T>
struct StoreConv {
  device T* y;
  device T* after;
  constant ConvParams* p;
  ConvEpilogue<T> epilogue;
  ulong start;  // position of the tile's first column
  uint positionsH, positionsW, strideH, strideW, phaseH, phaseW, firstOutput;

  void put(uint m, uint column, float value) const {
    if (m >= p->outputs) return;
    const Position at = kWide ? position_of<ulong>(start + column, positionsH, positionsW, p->batches)
                              : position_of<uint>(uint(start) + column, positionsH, positionsW, p->batches);
    const ulong h = at.h * strideH + phaseH, w = at.w * strideW + phaseW;
    if (!at.valid || h >= ulong(p->axis[0].out) || w >= ulong(p->axis[1].out)) return;
    const uint channel = firstOutput + m;
    put_element(y, after, *p, epilogue, value, at.batch, channel, h * ulong(p->axis[1].out) + w);
  }
};

template <typename T, typename I, int BM, int BN>
inline void conv_tile(CONV_PARAMETERS(T), uint3 group, thread Tile& tile, threadgroup float* memory) {
  const uint strideH = kTransposed ? uint(p.axis[0].stride) : 1, strideW = kTransposed ? uint(p.axis[1].stride) : 1;
  const uint phaseH = group.z / strideW, phaseW = group.z % strideW;
  const uint positionsH = uint((p.axis[0].out + strideH - 1) / strideH), positionsW = uint((p.axis[1].out + strideW - 1) / strideW);
  const Reach<I> h = reach<I>(p.axis[0], phaseH), w = reach<I>(p.axis[1], phaseW);
  const uint inGroup = group.y / p.tiles, kernel_area = p.axis[0].kernel_size * p.axis[1].kernel_size;
  tile.row = group.y % p.tiles * BM;

  const uint K = p.channels * h.taps * w.taps;
  LoadWeight<T, I, BM> a;
  a.weight = weight + ulong(inGroup) * p.channels * p.outputs * kernel_area;
  a.rows.matrix = a.weight;
  a.rows.pitch = K;
  a.rows.rows = p.outputs;
  a.rows.K = K;
  a.rows.first = tile.row;
  a.rows.thread_index = tile.thread_index;
  a.rows.aligned = K % 4 == 0;
  a.channels = p.channels;
  a.outputs = p.outputs;
  a.first = tile.row;
  a.thread_index = tile.thread_index;
  a.h = h;
  a.w = w;
  a.kernelH = p.axis[0].kernel_size;
  a.kernelW = p.axis[1].kernel_size;
  a.walk.start(tile.thread_index / BM, h.taps, w.taps);

  const ulong start = ulong(group.x) * BN;
  const Position at = position_of<ulong>(start + tile.thread_index % BN, positionsH, positionsW, p.batches);
  LoadInput<T, I, BN> b;
  b.valid = at.valid;
  b.channels = p.channels;
  b.firstChannel = inGroup * p.channels;
  b.thread_index = tile.thread_index;
  b.h = h;
  b.w = w;
  b.pitch = I(p.x.pitch);
  b.inH = I(p.axis[0].in);
  b.inW = I(p.axis[1].in);
  b.x = x + ((at.valid ? at.batch : 0) * p.groups * p.channels + b.firstChannel) * p.x.pitch + p.x.start;
  b.baseH = I(at.h) * h.step + h.base;
  b.baseW = I(at.w) * w.step + w.base;
  b.prologue.scale = scale;
  b.prologue.alpha = preAlpha;
  b.prologue.alphaType = p.preType;
  b.prologue.param = p.preParam;
  b.walk.start(tile.thread_index / BN, h.taps, w.taps);

  const StoreConv<T> store = {y,          after,   &p,      CONV_EPILOGUE, start,  positionsH,
                              positionsW, strideH, strideW, phaseH,        phaseW, inGroup * p.outputs};
  gemm_tile<BM, BN, false>(a, b, store, K, memory, tile);
}

template <typename T, int BM, int BN>
[[kernel, max_total_threads_per_threadgroup(kGemmThreads)]] void conv_gemm(CONV_ARGUMENTS(T), uint3 group [[threadgroup_position_in_grid]],
                                                                           uint thread_index [[thread_index_in_threadgroup]],
                                                                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                                                                           uint lane [[thread_index_in_simdgroup]],
                                                                           uint3 grid [[threadgroups_per_grid]]) {
  threadgroup float memory[GEMM_MEMORY(BM, BN)];
  const uint phases = kTransposed ? uint(p.axis[0].stride) * uint(p.axis[1].stride) : 1;
  if (group.z == phases) {
    const ulong count = p.batches * p.outputs * p.groups * p.part.head, width = ulong(grid.x) * grid.y * kGemmThreads;
    for (ulong i = (ulong(group.y) * grid.x + group.x) * kGemmThreads + thread_index; i < count; i += width) {
      take_head(before, y, after, p.part, p.outputs * p.groups, p.y.pitch, i);
    }
    return;
  }
  Tile tile = {thread_index, simdgroup, lane, 0, 0};
  if (kWide) {
    conv_tile<T, long, BM, BN>(CONV_FORWARD, group, tile, memory);
  } else {
    conv_tile<T, int, BM, BN>(CONV_FORWARD, group, tile, memory);
  }
}

#define CONV(name, T)                                                                                             \
  template [[host_name("conv_gemm_64x64_" name)]] [[kernel]] decltype(conv_gemm<T, 64, 64>) conv_gemm<T, 64, 64>; \
  template [[host_name("conv_gemm_64x32_" name)]] [[kernel]] decltype(conv_gemm<T, 64, 32>) conv_gemm<T, 64, 32>; \
  template [[host_name("conv_gemm_32x64_" name)]] [[kernel]] decltype(conv_gemm<T, 32, 64>) conv_gemm<T, 32, 64>; \
  template [[host_name("conv_gemm_32x32_" name)]] [[kernel]] decltype(conv_gemm<T, 32, 32>) conv_gemm<T, 32, 32>;
CONV("float32", float)
CONV("float16", half)
CONV("bfloat16", bf16)
