#include "cpu/conv_plan.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <utility>

namespace weightnorm::cpu {

namespace {

using Pair = std::array<int64_t, 2>;

// The phases of one axis that read the same shifts, and the kernel elements behind these of each.
struct AxisClass {
  struct Phase {
    int64_t at;
    std::vector<int64_t> kernel;
  };
  std::vector<int64_t> shifts;
  std::vector<Phase> phases;
};

// A transposed convolution puts x[i] · w[k] at i · stride + k · dilation: phase r reads x[q − (k · dilation − r) / stride].
// Only phases that read something are listed, at most one for each element of the kernel, however large the stride.
std::vector<AxisClass> transposedClasses(int64_t kernel, int64_t stride, int64_t dilation, int64_t reach, std::vector<int64_t>* residues) {
  struct Taps {
    std::vector<int64_t> shifts, kernel;
  };
  std::map<int64_t, Taps> phases;
  for (int64_t k = kernel - 1; k >= 0; --k) {
    Taps& taps = phases[k * dilation % stride];
    taps.shifts.push_back(reach - k * dilation / stride);
    taps.kernel.push_back(k);
  }
  std::map<std::vector<int64_t>, size_t> known;
  std::vector<AxisClass> classes;
  for (auto& [at, taps] : phases) {
    const auto [place, fresh] = known.emplace(taps.shifts, classes.size());
    if (fresh) classes.push_back({std::move(taps.shifts), {}});
    classes[place->second].phases.push_back({at, std::move(taps.kernel)});
    residues->push_back(at);
  }
  return classes;
}

ConvClass crossed(const AxisClass& rows, const AxisClass& columns, int64_t kernelWidth) {
  ConvClass result;
  for (const int64_t h : rows.shifts) {
    for (const int64_t w : columns.shifts) result.taps.push_back({0, {h, w}});
  }
  for (const AxisClass::Phase& row : rows.phases) {
    for (const AxisClass::Phase& column : columns.phases) {
      ConvClass::Phase phase{{row.at, column.at}, {}};
      for (const int64_t h : row.kernel) {
        for (const int64_t w : column.kernel) phase.kernel.push_back(h * kernelWidth + w);
      }
      result.phases.push_back(std::move(phase));
    }
  }
  return result;
}

// Offsets into prepared input are 32 bits, and extreme strides or dilations ask for more than any machine has.
void requireWorkable(double floats) {
  if (floats <= 0x7fffffff) return;
  throw core::Error(core::Code::kMemory,
                    core::format("this convolution needs %.3g GB of working memory for each thread; at most %.3g GB are "
                                 "supported: its dilation, stride or padding is extreme for its input",
                                 floats * 4e-9, 0x7fffffff * 4e-9));
}

void planTransposed(ConvPlan& plan, const core::ConvOp& op) {
  std::array<std::vector<AxisClass>, 2> axes;
  // A single input step has no next one for the stride to reach.
  const Pair strides{plan.in[0] == 1 ? 1 : op.stride[0], plan.in[1] == 1 ? 1 : op.stride[1]};
  for (size_t a = 0; a < 2; ++a) {
    const int64_t stride = strides[a], span = (plan.kernel[a] - 1) * op.dilation[a];
    plan.inStride[a] = 1;
    plan.outStride[a] = stride;
    plan.reach[a] = span / stride;
    plan.crop[a] = op.padBegin[a];
    plan.firstQ[a] = op.padBegin[a] / stride;
    plan.begin[a] = plan.reach[a] - plan.firstQ[a];
    plan.positions[a] = (plan.out[a] - 1 + op.padBegin[a]) / stride - plan.firstQ[a] + 1;
    axes[a] = transposedClasses(plan.kernel[a], stride, op.dilation[a], plan.reach[a], &plan.residues[a]);
  }
  plan.planes = {{0, 0}};
  for (const AxisClass& rows : axes[0]) {
    for (const AxisClass& columns : axes[1]) plan.classes.push_back(crossed(rows, columns, plan.kernel[1]));
  }
}

void planForward(ConvPlan& plan, const core::ConvOp& op) {
  for (size_t a = 0; a < 2; ++a) {
    plan.inStride[a] = op.stride[a];
    plan.outStride[a] = 1;
    plan.residues[a] = {0};
    plan.crop[a] = plan.firstQ[a] = 0;
    plan.begin[a] = op.padBegin[a];
    plan.positions[a] = plan.out[a];
    plan.reach[a] = (plan.kernel[a] - 1) * op.dilation[a] / op.stride[a];
  }
  // The residues k · dilation mod stride repeat with this period, and are distinct within it.
  Pair period;
  for (size_t a = 0; a < 2; ++a) period[a] = std::min(plan.kernel[a], op.stride[a] / std::gcd(op.stride[a], op.dilation[a]));
  for (int64_t h = 0; h < period[0]; ++h) {
    for (int64_t w = 0; w < period[1]; ++w) plan.planes.push_back({h * op.dilation[0] % op.stride[0], w * op.dilation[1] % op.stride[1]});
  }
  ConvClass only{{{{0, 0}, {}}}, {}};
  for (int64_t h = 0; h < plan.kernel[0]; ++h) {
    for (int64_t w = 0; w < plan.kernel[1]; ++w) {
      const Pair at{h * op.dilation[0], w * op.dilation[1]};
      const int plane = static_cast<int>(h % period[0] * period[1] + w % period[1]);
      only.taps.push_back({plane, {at[0] / op.stride[0], at[1] / op.stride[1]}});
      only.phases[0].kernel.push_back(h * plan.kernel[1] + w);
    }
  }
  plan.classes.push_back(std::move(only));
}

// Prepared input of a chunk should stay in the second-level cache, but chunks must dwarf what their edges re-read.
constexpr int64_t kPreparedFloats = 32 * 1024;
constexpr int64_t kLargestChunk = 960;
constexpr int64_t kShortestVectors = 2;  // of a chunk that is shortened for the sake of another thread

void cutUp(ConvPlan& plan, const ConvKernels& kernels, int threads) {
  const int64_t unit = 3 * kernels.lanes;
  const int64_t planes = static_cast<int64_t>(plan.planes.size());
  const int64_t most = plan.positions[0] > 1 ? 4 * kLargestChunk : kLargestChunk;
  int64_t room = std::min(kPreparedFloats / (plan.inputs * planes), most);
  room = std::max(room, 4 * unit + 3 * plan.reach[1]);
  const int64_t sumRows = plan.channelBlock * plan.phases;
  requireWorkable(static_cast<double>(plan.inputs) * static_cast<double>(plan.reach[1]));
  room = std::max(std::min(room, kPreparedFloats / sumRows), 2 * unit);
  room = roundUp(room, unit);
  plan.chunk[1] = std::min(plan.positions[1], room);
  // Even chunks: a short last one would waste its edges.
  plan.chunks[1] = divideUp(plan.positions[1], plan.chunk[1]);
  if (plan.chunks[1] > 1) plan.chunk[1] = std::min(roundUp(divideUp(plan.positions[1], plan.chunks[1]), unit), plan.chunk[1]);
  plan.chunks[1] = divideUp(plan.positions[1], plan.chunk[1]);
  const int64_t images = plan.batch * plan.groups;
  const int64_t weights = plan.outputs * plan.inputs * plan.kernel[0] * plan.kernel[1];
  const bool shorten = threads > 1 && weights <= kOwnWeights;
  const int64_t shortest = kShortestVectors * kernels.lanes;
  if (shorten && plan.positions[0] == 1) {
    const int64_t even = roundUp(divideUp(plan.positions[1], evenChunks(plan.chunks[1], images, threads)), kernels.lanes);
    plan.chunk[1] = std::min(plan.chunk[1], std::max(even, shortest));
    plan.chunks[1] = divideUp(plan.positions[1], plan.chunk[1]);
  }
  plan.pitch = plan.chunk[1] + plan.reach[1];
  // Rows above and below a chunk are prepared twice.
  plan.chunk[0] = std::clamp(std::max(room / plan.pitch, 8 * plan.reach[0]), int64_t{1}, plan.positions[0]);
  plan.chunks[0] = divideUp(plan.positions[0], plan.chunk[0]);
  plan.chunk[0] = divideUp(plan.positions[0], plan.chunks[0]);
  plan.chunks[0] = divideUp(plan.positions[0], plan.chunk[0]);
  if (shorten && plan.positions[0] > 1) {
    const int64_t even = divideUp(plan.positions[0], evenChunks(plan.chunks[0], images * plan.chunks[1], threads));
    plan.chunk[0] = std::min(plan.chunk[0], std::max(even, divideUp(shortest, plan.pitch)));
    plan.chunks[0] = divideUp(plan.positions[0], plan.chunk[0]);
  }
  plan.tasks = ConvTasks(images * plan.chunks[0] * plan.chunks[1], plan.channelBlocks, weights, threads);
  requireWorkable(static_cast<double>(plan.chunk[0] + plan.reach[0]) * static_cast<double>(plan.pitch) *
                  static_cast<double>(planes * plan.inputs));
  plan.planeSize = (plan.chunk[0] + plan.reach[0]) * plan.pitch;
  plan.width = roundUp((plan.chunk[0] - 1) * plan.pitch + plan.chunk[1], kernels.lanes);
  plan.sumPitch = plan.pitch;
  // Rows of whole vectors are summed without what lies between them, if that is less.
  const int64_t row = roundUp(plan.chunk[1], kernels.lanes);
  if (plan.chunk[0] * row < plan.width) {
    plan.sumPitch = row;
    plan.width = plan.chunk[0] * row;
  }
  // The last vector of a plane may read past it.
  plan.channelStride = roundUp(planes * plan.planeSize + kernels.lanes, 16);
  if (plan.channelStride % 512 == 0) plan.channelStride += 16;
  requireWorkable(static_cast<double>(plan.channelStride) * static_cast<double>(plan.inputs));
  requireWorkable(static_cast<double>(sumRows) * static_cast<double>(plan.width));
  requireWorkable(static_cast<double>(plan.outStride[1]) * static_cast<double>(plan.width));
}

}  // namespace

ConvPlan::ConvPlan(const core::ConvOp& op, const ConvKernels& kernels, int threads) {
  const bool flat = op.x.shape.rank() == 3;
  const auto pair = [flat](const core::Shape& s) { return Pair{flat ? 1 : s[2], s[flat ? 2 : 3]}; };
  in = pair(op.x.shape);
  out = pair(op.y.shape);
  kernel = pair(op.weight.shape);
  batch = op.x.shape[0];
  groups = op.groups;
  inputs = op.x.shape[1] / groups;
  outputs = op.y.shape[1] / groups;
  op.transposed ? planTransposed(*this, op) : planForward(*this, op);
  phases = static_cast<int64_t>(residues[0].size() * residues[1].size());
  channelBlock = kernels.rows / std::gcd(static_cast<int64_t>(kernels.rows), phases);
  channelBlock = std::min(channelBlock, outputs);
  channelBlocks = divideUp(outputs, channelBlock);
  cutUp(*this, kernels, threads);
}

}  // namespace weightnorm::cpu
