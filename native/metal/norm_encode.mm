#include "metal/norm_encode.h"

namespace weightnorm::metal {

namespace {

bool writes(NormBuffer buffer) {
  return buffer == NormBuffer::kW || buffer == NormBuffer::kStatistic || buffer == NormBuffer::kGradV || buffer == NormBuffer::kGradG;
}

}  // namespace

ThreadLimit threadLimit(Encoder& encoder) {
  return [&encoder](const std::string& library, const std::string& kernel) { return encoder.pipeline(library, kernel).maxThreads; };
}

void encodePlan(Encoder& encoder, const NormPlan& plan, const std::function<core::Tensor(NormBuffer)>& tensor) {
  const Memory partial = plan.partialBytes > 0 ? encoder.memory(plan.partialBytes) : nullptr;
  bool summed = false;  // the first dispatch writes the partial sums, the second reads them
  for (const NormDispatch& planned : plan.dispatches) {
    Dispatch dispatch(encoder, encoder.pipeline(planned.library, planned.kernel));
    uint32_t index = 0;
    for (const NormBuffer buffer : planned.buffers) {
      if (buffer == NormBuffer::kPartial) {
        dispatch.bind(index++, *partial, summed ? Access::kRead : Access::kWrite);
        continue;
      }
      const core::Tensor held = tensor(buffer);
      if (writes(buffer) && held.storage) {
        dispatch.output(index++, held);
      } else {
        dispatch.input(index++, held);
      }
    }
    std::visit([&](const auto& params) { dispatch.value(index, params); }, planned.params);
    if (planned.board > 0) dispatch.threadgroupMemory(0, planned.board);
    dispatch.groups(MTLSizeMake(planned.groups[0], planned.groups[1], 1), MTLSizeMake(planned.threads, 1, 1));
    summed = true;
  }
}

void encodeNorm(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, uint32_t reduce,
                const std::optional<double>& eps, NormRule::Output output) {
  const NormPlan plan = planNorm(core::Nest(v.shape, reduce), v.dtype, normRule(g.dtype, eps, output), threadLimit(encoder));
  encodePlan(encoder, plan, [&](NormBuffer buffer) {
    if (buffer == NormBuffer::kV) return v;
    if (buffer == NormBuffer::kG) return g;
    return (buffer == NormBuffer::kW) == (output == NormRule::kWeight) ? result : core::Tensor();
  });
}

}  // namespace weightnorm::metal
