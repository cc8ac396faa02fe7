#pragma once

#include <cstdint>

#include "cpu/simd/isa.h"

// Transforms of the Toom-Cook (Winograd) convolution along one axis with tiles of four outputs.
namespace weightnorm::cpu {

// Output t of a chunk belongs to tile position u and place h: t = 4d · (u / d) + h · d + u % d for dilation d, so that
// the four outputs of a position, and the inputs they need, are d apart and neighbours in u are neighbours in memory.
constexpr int kTileOutputs = 4;

// Six points serve kernels of 3 taps, seven serve groups of 4 taps.
constexpr int64_t tapsOf(int points) {
  return points - kTileOutputs + 1;
}

constexpr int kMostPoints = 7;

// The finite points of either tile, of which the first five serve both; infinity is the last.
constexpr double kWinogradPoints[] = {0, 1, -1, 2, -2, -0.5};

// One factor for each finite point: 1 / Π (point − the others).
using WinogradFactors = double[kMostPoints - 1];

struct WinogradKernels {
  // Weights of `rows` output channels, mixed[(i · kernel + tap) · rows + r], at every point in float64:
  // w[j · pointStride + (i · groups + g) · rows + r] = factors[j] · Σ_k point[j]^k · mixed[i, g · taps + k, r] for
  // i < inputs and r < rows, a power of two; the last point takes the last tap of a group.
  void (*weights)(const float* mixed, int64_t inputs, int64_t kernel, int rows, const WinogradFactors& factors, int points,
                  int64_t pointStride, float* w);
  // v[j · planeStride + u] = Σ_i B[j][i] · line[t(u, 0) + i · d] for j < points and u < count, a multiple of the lanes.
  // Reads line up to winogradLine(d, count) floats; `streams` is scratch of winogradStreams(d, count) floats.
  void (*input)(const float* line, int64_t dilation, int points, int64_t count, float* streams, float* v, int64_t planeStride);
  // line[t(u, h)] = Σ_j A[h][j] · m[j · planeStride + u] for h < 4 and u < count, a multiple of the lanes; may write up
  // to winogradLine(d, count) floats of line.
  void (*output)(const float* m, int64_t planeStride, int64_t dilation, int points, int64_t count, float* streams, float* line);
};

// Floats of one stream, of all streams and of a line for `count` positions, with room for whole vectors.
constexpr int64_t winogradStream(int64_t dilation, int64_t count) {
  return count + 2 * dilation + 32;
}
constexpr int64_t winogradStreams(int64_t dilation, int64_t count) {
  return 4 * winogradStream(dilation, count);
}
constexpr int64_t winogradLine(int64_t dilation, int64_t count) {
  return 4 * (count + 3 * dilation) + 64;
}

WEIGHTNORM_KERNELS(WinogradKernels, winogradKernels)

}  // namespace weightnorm::cpu
