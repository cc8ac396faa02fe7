#include "cpu/winograd_plan.h"

#include <algorithm>

#include "cpu/conv_kernels.h"

namespace weightnorm::cpu {

namespace {
constexpr int64_t kTransformedFloats = 96 * 1024;  // of one chunk's input
constexpr int64_t kTransformedImage = 224 * 1024;  // the same of rows, which chunks prepare twice where they meet
constexpr int64_t kMostPositions = 48;             // of an image's chunk, in vectors
constexpr int64_t kShortestVectors = 2;            // of a chunk that is shortened for the sake of another thread
}  // namespace

WinogradPlan::WinogradPlan(const core::ConvOp& op, int threads)
    : batch(op.x.shape[0]),
      groups(op.groups),
      inputs(op.x.shape[1] / op.groups),
      outputs(op.y.shape[1] / op.groups),
      kernel(op.weight.shape[op.weight.shape.rank() - 1]),
      length(op.y.shape[op.y.shape.rank() - 1]),
      dilation(op.dilation[1]),
      kernelRows(op.weight.shape.rank() == 3 ? 1 : op.weight.shape[2]),
      height(op.y.shape.rank() == 3 ? 1 : op.y.shape[2]),
      rowDilation(op.dilation[0]),
      points(kernel == 3 ? 6 : 7),
      tapGroups(divideUp(kernel, tapsOf(points))),
      lanes(get_convKernels().lanes),
      rows(get_convKernels().rows),
      blocks(divideUp(outputs, rows)) {
  op.x.shape.rank() == 3 ? cutRow(threads) : cutImage(threads);
  tasks = ConvTasks(images() * chunks, blocks, points * outputs * terms(), threads);
  planeStride =
      std::max((chunkRows - 1 + margin()) * pitch + shifted, roundUp(positions + margin() * pitch + (tapGroups - 1) * dilation, lanes)) +
      lanes;
  if (planeStride % 512 == 0) planeStride += 16;
  pointStride = inputs * planeStride + 16;
}

void WinogradPlan::cutRow(int threads) {
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
  chunkRows = 1;
  positions = roundUp(used, lanes);
  pitch = shifted = roundUp(positions + (tapGroups - 1) * dilation, lanes);
}

void WinogradPlan::cutImage(int threads) {
  used = divideUp(length, kTileOutputs * dilation) * dilation;
  pitch = used + (tapGroups - 1) * dilation;
  shifted = roundUp(pitch, lanes);
  const int64_t room = kTransformedImage / (points * inputs * pitch) - margin();
  const int64_t most = std::min(divideUp(kMostPositions * lanes, pitch), height);
  chunkRows = std::clamp(room, std::min(2 * margin() + 1, most), most);
  chunks = divideUp(height, chunkRows);
  if (threads > 1 && points * outputs * terms() <= kOwnWeights) chunks = std::min(evenChunks(chunks, images(), threads), height);
  chunkRows = divideUp(height, chunks);
  chunks = divideUp(height, chunkRows);
  positions = roundUp((chunkRows - 1) * pitch + used, lanes);
}

}  // namespace weightnorm::cpu
