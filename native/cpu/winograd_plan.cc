#include "cpu/winograd_plan.h"

#include <algorithm>

#include "cpu/conv_kernels.h"

namespace weightnorm::cpu {

namespace {
constexpr int64_t kTransformedFloats = 96 * 1024;  // of one chunk's input
constexpr int64_t kShortestVectors = 2;            // of a chunk that is shortened for the sake of another thread
}  // namespace

WinogradPlan::WinogradPlan(const core::ConvOp& op, int threads)
    : batch(op.x.shape[0]),
      groups(op.groups),
      inputs(op.x.shape[1] / op.groups),
      outputs(op.y.shape[1] / op.groups),
      kernel(op.weight.shape[2]),
      length(op.y.shape[2]),
      dilation(op.dilation[1]),
      points(kernel == 3 ? 6 : 7),
      tapGroups(divideUp(kernel, tapsOf(points))),
      lanes(get_convKernels().lanes),
      rows(get_convKernels().rows),
      blocks(divideUp(outputs, rows)) {
  const int64_t unit = 3 * lanes;
  const int64_t room = std::clamp(kTransformedFloats / (points * inputs) / unit * unit, 2 * unit, 6 * unit);
  const int64_t most = room / dilation * dilation;
  const int64_t needed = divideUp(length, kTileOutputs * dilation) * dilation;
  // Even chunks, cut at multiples of the dilation, of whole vectors.
  const auto cut = [&](int64_t count) { return std::min(roundUp(divideUp(needed, count), dilation), most); };
  used = cut(divideUp(needed, most));
  const int64_t weights = points * outputs * terms();
  if (threads > 1 && weights <= kOwnWeights) {
    const int64_t least = roundUp(kShortestVectors * lanes, dilation);
    used = std::clamp(cut(evenChunks(divideUp(needed, used), images(), threads)), std::min(least, used), used);
  }
  chunks = divideUp(needed, used);
  tasks = ConvTasks(images() * chunks, blocks, weights, threads);
  positions = roundUp(used, lanes);
  shifted = roundUp(positions + (tapGroups - 1) * dilation, lanes);
  planeStride = shifted + lanes;
  if (planeStride % 512 == 0) planeStride += 16;
  pointStride = inputs * planeStride + 16;
}

}  // namespace weightnorm::cpu
