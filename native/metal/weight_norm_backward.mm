#include "metal/metal_ops.h"
#include "metal/norm_plan.h"

namespace weightnorm::metal {

namespace {

constexpr int64_t kFewRows = 1024;

Dispatch& bindGradients(Dispatch& dispatch, const core::WeightNormBackwardOp& op) {
  return dispatch.input(0, op.gradW).input(1, op.v).input(2, op.g).output(3, op.gradV).output(4, op.gradG);
}

void encodeRows(Encoder& encoder, const core::WeightNormBackwardOp& op, int64_t rows, int64_t columns, const NormRule& rule) {
  const Chunking chunks = chunking(op.v.dtype, columns);
  if (auto split = splitRows(rows, columns, chunks.width)) {
    split->rule = rule;
    const Pipeline& sum = encoder.pipeline("weight_norm_backward_split", "wnb_split_sum_" + chunks.suffix);
    const Pipeline& apply = encoder.pipeline("weight_norm_backward_split", "wnb_split_apply_" + chunks.suffix);
    const Memory partial = encoder.memory(32 * split->parts * static_cast<uint64_t>(rows));
    const MTLSize grid = MTLSizeMake(split->parts, static_cast<NSUInteger>(rows), 1);
    Dispatch(encoder, sum)
        .input(0, op.gradW)
        .input(1, op.v)
        .bind(2, *partial, Access::kWrite)
        .value(3, *split)
        .groups(grid, MTLSizeMake(wholeSimdgroups(512, sum.maxThreads), 1, 1));
    Dispatch second(encoder, apply);
    bindGradients(second, op)
        .bind(5, *partial, Access::kRead)
        .value(6, *split)
        .groups(grid, MTLSizeMake(wholeSimdgroups(512, apply.maxThreads), 1, 1));
    return;
  }
  // Few rows want more threads each; many want fewer, since all of a row wait for the one simdgroup that adds up.
  const RowsLaunch launch = rows < kFewRows ? rowsLaunch(encoder, "weight_norm_backward", "wnb", chunks, rows, columns, {2, 4})
                                            : rowsLaunch(encoder, "weight_norm_backward", "wnb", chunks, rows, columns, {4});
  const RowsParams params{static_cast<uint64_t>(rows), static_cast<uint32_t>(columns), launch.lanes, rule};
  Dispatch dispatch(encoder, launch.pipeline);
  bindGradients(dispatch, op).value(5, params).groups(MTLSizeMake(launch.groups, 1, 1), MTLSizeMake(launch.threads, 1, 1));
}

// False where one strip of columns does not fit a threadgroup.
bool encodeColumns(Encoder& encoder, const core::WeightNormBackwardOp& op, const ColumnNest& nest, const Chunking& chunks,
                   const NormRule& rule) {
  const Pipeline& pipeline = encoder.pipeline("weight_norm_backward_columns", "wnb_columns_" + chunks.suffix);
  auto launch = columnLaunch(nest, chunks.width, pipeline.maxThreads);
  if (!launch) return false;
  launch->params.rule = rule;
  Dispatch dispatch(encoder, pipeline);
  bindGradients(dispatch, op)
      .value(5, launch->params)
      .threadgroupMemory(0, launch->board)
      .groups(MTLSizeMake(launch->groups, 1, 1), MTLSizeMake(launch->threads, 1, 1));
  return true;
}

}  // namespace

void encode(Encoder& encoder, const core::WeightNormBackwardOp& op) {
  const core::Nest nest(op.v.shape, op.reduce);
  const NormRule rule = normRule(op.g.dtype, op.eps, NormRule::kWeight);
  if (nest.form == core::Nest::Form::kRows) return encodeRows(encoder, op, nest.kept, nest.reduced, rule);
  if (const auto columns = columnNest(nest)) {
    if (encodeColumns(encoder, op, *columns, chunking(op.v.dtype, columns->kept * columns->run), rule)) return;
    if (encodeColumns(encoder, op, *columns, chunking(op.v.dtype, 1), rule)) return;
  }
  NestParams params = nestParams(nest);
  params.rule = rule;
  const Pipeline& pipeline = encoder.pipeline("weight_norm_backward_nest", kernelName("wnb_nest", op.v.dtype));
  Dispatch dispatch(encoder, pipeline);
  bindGradients(dispatch, op)
      .value(5, params)
      .groups(MTLSizeMake(static_cast<NSUInteger>(nest.kept), 1, 1),
              MTLSizeMake(wholeSimdgroups(std::min<int64_t>(nest.reduced, 1024), pipeline.maxThreads), 1, 1));
}

}  // namespace weightnorm::metal
