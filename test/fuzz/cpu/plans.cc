// How convolutions and norms are cut up, for shapes of any size: every tap, plane, output and element belongs to exactly
// one place, no number overflows, and what is too extreme to compute is refused quickly.
#include <numeric>

#include "../boundless.h"
#include "../operations.h"
#include "cpu/conv_plan.h"
#include "cpu/nest_plan.h"

namespace {

using namespace fuzz;

void convolution(const core::ConvOp& op) {
  using cpu::simd::Isa;
  // The plan lists every element of the kernel: larger ones only take longer.
  const auto& weight = op.weight.shape;
  const int64_t elements = weight[weight.rank() - 1] * (weight.rank() == 4 ? weight[2] : 1);
  if (elements > 1 << 12) return;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (!cpu::simd::supported(isa)) continue;
    const cpu::ConvPlan plan(op, cpu::get_convKernels(isa), 7);
    int64_t phases = 0, kernel = 0;
    for (const cpu::ConvClass& one : plan.classes) {
      phases += static_cast<int64_t>(one.phases.size());
      for (const auto& phase : one.phases) {
        require(phase.kernel.size() == one.taps.size(), "a phase has an element of the kernel for each tap");
        kernel += static_cast<int64_t>(phase.kernel.size());
        for (const int64_t k : phase.kernel) require(k >= 0 && k < elements, "a tap's element is inside the kernel");
        for (size_t a = 0; a < 2; ++a) require(phase.at[a] >= 0 && phase.at[a] < plan.outStride[a], "a phase is below the stride");
      }
      for (const cpu::ConvTap& tap : one.taps) {
        require(tap.plane >= 0 && tap.plane < static_cast<int>(plan.planes.size()), "a tap reads a plane there is");
        for (size_t a = 0; a < 2; ++a) require(tap.shift[a] >= 0 && tap.shift[a] <= plan.reach[a], "a tap stays within reach");
      }
    }
    require(phases == plan.phases && kernel == elements, "every phase and every element of the kernel has one place");
    for (size_t a = 0; a < 2; ++a) {
      require(plan.chunk[a] >= 1 && plan.chunks[a] >= 1 && plan.chunk[a] * plan.chunks[a] >= plan.positions[a] &&
                  plan.chunk[a] * (plan.chunks[a] - 1) < plan.positions[a],
              "chunks cover the output, none is empty");
      const int64_t last = (plan.firstQ[a] + plan.positions[a] - 1) * plan.outStride[a] + plan.outStride[a] - 1 - plan.crop[a];
      require(last >= plan.out[a] - 1 && plan.firstQ[a] * plan.outStride[a] <= plan.crop[a],
              "positions reach the first and the last output");
    }
    require(plan.pitch >= plan.chunk[1] + plan.reach[1] && plan.planeSize >= (plan.chunk[0] + plan.reach[0]) * plan.pitch &&
                plan.channelStride >= plan.planeSize * static_cast<int64_t>(plan.planes.size()) && plan.width >= plan.chunk[1],
            "prepared input holds what taps read");
    require(plan.channelBlock >= 1 && plan.channelBlock * plan.channelBlocks >= plan.outputs, "every output channel is computed");
  }
}

void nest(Input& input) {
  const Shape shape = input.shape(input.flag(), 1, core::kMaxRank);
  const auto mask = static_cast<uint32_t>(input.within(0, (1 << shape.rank()) - 1));
  const cpu::NestPlan plan(shape, mask);
  require(plan.kept() * plan.reduced() == shape.size(), "a nest holds the shape's elements");
  const int64_t tasks = plan.tasks();
  require(tasks >= 1, "there is work");
  const auto volume = [&](const cpu::NestPlan::Task& task) {
    int64_t elements = 1;
    for (int i = 0; i < plan.count(); ++i) {
      const auto [begin, end] = task.ranges[static_cast<size_t>(i)];
      require(begin >= 0 && begin < end && end <= plan.axis(i).size, "a task's ranges lie within the axes");
      elements *= end - begin;
    }
    require(task.keptCount >= 1 && task.keptCount <= plan.keptPerTask() && task.keptBegin >= 0 &&
                task.keptBegin + task.keptCount <= plan.kept(),
            "a task's kept indices lie within the nest");
    require(task.reducedBlock >= 0 && task.reducedBlock < plan.reducedBlocks(), "a task's block of the reduced axis exists");
    return elements;
  };
  if (tasks <= 4096) {
    int64_t elements = 0;
    for (int64_t t = 0; t < tasks; ++t) elements += volume(plan.task(t));
    require(elements == shape.size(), "tasks share the elements out");
  } else {
    for (int i = 0; i < 32; ++i) volume(plan.task(input.within(0, tasks - 1)));
    volume(plan.task(tasks - 1));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Place place{std::make_shared<Boundless>(), nullptr, [](const Tensor&, Input&) {}};
  Input input(data, size);
  if (input.flag()) {
    try {
      nest(input);
    } catch (const core::Error& error) {
      require(error.code() == core::Code::kMemory, "a shape is refused for its size alone");
    }
    return 0;
  }
  // Behind the validation, which decides what a plan must cope with.
  OperationMaker(input, place, input.within(0, 3) == 0).makeConv([](const core::ConvOp& op, const auto&, const auto&) {
    try {
      convolution(op);
    } catch (const core::Error& error) {
      require(error.code() == core::Code::kMemory, "a plan is refused for its size alone");
    }
  });
  return 0;
}
