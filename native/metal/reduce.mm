#include <algorithm>

#include "metal/metal_ops.h"
#include "metal/overrides.h"
#include "metal/strided.h"

namespace weightnorm::metal {

namespace {

constexpr uint64_t kSimd = 32;
constexpr uint64_t kShortRow = 1024;   // up to this a simdgroup sums a row
constexpr uint64_t kRowChunk = 16384;  // terms worth a threadgroup of their own
constexpr uint64_t kColumnChunk = 512;
constexpr uint64_t kEnoughGroups = 1024;  // more threadgroups than this fill any GPU
constexpr uint64_t kMaxGroups = 65535;

struct ReduceParams {
  uint64_t kept, reduced, batch, chunk, chunks;
};

struct ReduceNest {
  Axes kept, reduced;
};

// Splits `reduced` terms into chunks of at least `least`, as many as still help beside `groups` threadgroups.
// Depends on the shape alone, so the order of additions does too.
void split(ReduceParams& params, uint64_t least, uint64_t groups) {
  const uint64_t useful = std::max<uint64_t>(1, kEnoughGroups / std::max<uint64_t>(1, groups));
  const uint64_t wanted = std::min((params.reduced + least - 1) / least, useful);
  params.chunk = (params.reduced + wanted - 1) / wanted;
  params.chunks = (params.reduced + params.chunk - 1) / params.chunk;
}

uint64_t capped(uint64_t groups) {
  return std::min({groups, kMaxGroups, overrides().maxGridThreads});
}

ReduceNest nestOf(const core::Nest& nest) {
  ReduceNest result;
  for (int i = 0; i < nest.count; ++i) {
    const core::Nest::Axis& axis = nest.axes[static_cast<size_t>(i)];
    (axis.reduced ? result.reduced : result.kept).add(static_cast<uint64_t>(axis.size), static_cast<uint64_t>(axis.stride));
  }
  return result;
}

struct Plan {
  const char* kernel;
  ReduceParams params;
  bool simdRow = false;
};

Plan planOf(const core::Nest& nest) {
  Plan plan{"reduce_rows", {static_cast<uint64_t>(nest.kept), static_cast<uint64_t>(nest.reduced), 1, 0, 1}};
  ReduceParams& params = plan.params;
  if (nest.form == core::Nest::Form::kRows) {
    plan.simdRow = params.reduced <= kShortRow;
    params.chunk = params.reduced;
    if (!plan.simdRow) split(params, kRowChunk, params.kept);
    return plan;
  }
  const auto& axes = nest.axes;
  const bool middle = nest.count == 3 && axes[1].reduced;
  if (nest.form == core::Nest::Form::kColumns || middle) {
    plan.kernel = "reduce_columns";
    if (middle) {
      params.batch = static_cast<uint64_t>(axes[0].size);
      params.kept = static_cast<uint64_t>(axes[2].size);
    }
    split(params, kColumnChunk, params.batch * ((params.kept + kSimd - 1) / kSimd));
    return plan;
  }
  plan.kernel = "reduce_general";
  split(params, kRowChunk, params.kept);
  return plan;
}

MTLSize groupsOf(const Plan& plan, uint64_t simds) {
  const ReduceParams& p = plan.params;
  if (plan.simdRow) return MTLSizeMake(capped((p.kept + simds - 1) / simds), 1, 1);
  if (std::string("reduce_columns") == plan.kernel) return MTLSizeMake((p.kept + kSimd - 1) / kSimd, p.chunks, capped(p.batch));
  return MTLSizeMake(p.chunks, capped(p.kept), 1);
}

// Whole simdgroups, 256 threads where the GPU allows them.
uint64_t simdsOf(const Pipeline& pipeline) {
  return std::min<uint64_t>(8, pipeline.maxThreads / kSimd);
}

}  // namespace

void encode(Encoder& encoder, const core::ReduceOp& op) {
  const core::Nest nest(op.x.shape, op.reduce);
  const Plan plan = planOf(nest);
  const bool partial = plan.params.chunks > 1;
  const auto constants = [&](bool pairs) {
    return Constants().set(0, op.mean).set(1, pairs).set(2, plan.simdRow).set(3, wide({op.x.size()}));
  };
  const uint64_t results = plan.params.batch * plan.params.kept;
  Memory pairs = partial ? encoder.memory(results * plan.params.chunks * 2 * sizeof(float)) : nullptr;

  const Pipeline& pipeline = encoder.pipeline("reduce", kernelName(plan.kernel, op.x.dtype), constants(partial));
  const uint64_t simds = simdsOf(pipeline);
  Dispatch dispatch(encoder, pipeline);
  dispatch.input(0, op.x).value(3, plan.params);
  if (partial) {
    dispatch.bind(2, *pairs, Access::kWrite).input(1, {});
  } else {
    dispatch.output(1, op.y).input(2, {});
  }
  if (std::string("reduce_general") == plan.kernel) dispatch.value(4, nestOf(nest));
  dispatch.groups(groupsOf(plan, simds), MTLSizeMake(simds * kSimd, 1, 1));
  if (!partial) return;

  const Pipeline& finish = encoder.pipeline("reduce", kernelName("reduce_pairs", op.y.dtype), constants(false));
  const uint64_t finishSimds = simdsOf(finish);
  Dispatch(encoder, finish)
      .bind(0, *pairs, Access::kRead)
      .output(1, op.y)
      .value(2, plan.params)
      .groups(MTLSizeMake(capped((results + finishSimds - 1) / finishSimds), 1, 1), MTLSizeMake(finishSimds * kSimd, 1, 1));
}

}  // namespace weightnorm::metal
