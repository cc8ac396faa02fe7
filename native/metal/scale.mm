#include <map>
#include <tuple>
#include <vector>

#include "metal/metal_ops.h"
#include "metal/norm_encode.h"

namespace weightnorm::metal {

namespace {

using Segment = core::ScaleOp::Segment;

// At most ScaleParams::kMost weights of one dtype and rule.
void encodeTogether(Encoder& encoder, const std::vector<const Segment*>& segments) {
  const core::DType dtype = segments.front()->v.dtype;
  Dispatch dispatch(encoder, encoder.pipeline("scale", kernelName("scale_segments", dtype)));
  std::vector<ScaleWeight> weights;
  for (const Segment* segment : segments) {
    dispatch.uses(segment->v, Access::kRead).uses(segment->g, Access::kRead).uses(segment->scale, Access::kWrite);
    const core::Nest nest(segment->v.shape, segment->reduce);
    weights.push_back({encoder.address(segment->v), encoder.address(segment->g), encoder.address(segment->scale), nest.kept, nest.reduced});
  }
  const NormRule rule = normRule(segments.front()->g.dtype, segments.front()->eps, NormRule::kScale);
  const ScalePlan plan = planScales(std::move(weights), dtype, rule, threadLimit(encoder));
  dispatch.value(0, plan.params).groups(MTLSizeMake(plan.groups, 1, 1), MTLSizeMake(plan.threads, 1, 1));
}

}  // namespace

void encode(Encoder& encoder, const core::ScaleOp& op) {
  std::map<std::tuple<core::DType, core::DType, std::optional<double>>, std::vector<const Segment*>> alike;
  for (const Segment& segment : op.segments) {
    if (!scaledTogether(core::Nest(segment.v.shape, segment.reduce))) {
      encodeNorm(encoder, segment.v, segment.g, segment.scale, segment.reduce, segment.eps, NormRule::kScale);
      continue;
    }
    auto& segments = alike[{segment.v.dtype, segment.g.dtype, segment.eps}];
    segments.push_back(&segment);
    if (segments.size() == ScaleParams::kMost) {
      encodeTogether(encoder, segments);
      segments.clear();
    }
  }
  for (const auto& [kind, segments] : alike) {
    if (!segments.empty()) encodeTogether(encoder, segments);
  }
}

}  // namespace weightnorm::metal
