#pragma once

#include <functional>

#include "metal/encoder.h"
#include "metal/norm_plan.h"

namespace weightnorm::metal {

// Thread limits of this GPU's pipelines, which are compiled where they are not yet.
ThreadLimit threadLimit(Encoder& encoder);

// Encodes a plan. `tensor` gives what a buffer index holds (not asked for kPartial), an absent tensor where the plan does not use it.
void encodePlan(Encoder& encoder, const NormPlan& plan, const std::function<core::Tensor(NormBuffer)>& tensor);

// Encodes w, the norms or the scales of v over the axes of `reduce`. `result` is w, or the float32 norms or scales;
// g may be absent for norms.
void encodeNorm(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, uint32_t reduce,
                const std::optional<double>& eps, NormRule::Output output);

}  // namespace weightnorm::metal
