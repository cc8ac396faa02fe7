#include "metal/metal_ops.h"
#include "metal/norm_plan.h"

namespace weightnorm::metal {

namespace {

const core::Tensor kAbsent;

// What every forward kernel binds: v, g, w and the statistic, of which one is the result.
Dispatch& bindNorm(Dispatch& dispatch, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, NormRule::Output output) {
  dispatch.input(0, v).input(1, g);
  if (output == NormRule::kWeight) return dispatch.output(2, result).input(3, kAbsent);
  return dispatch.input(2, kAbsent).output(3, result);
}

void encodeRows(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, int64_t rows, int64_t columns,
                const NormRule& rule) {
  const auto output = static_cast<NormRule::Output>(rule.output);
  const Chunking chunks = chunking(v.dtype, columns);
  if (auto split = splitRows(rows, columns, chunks.width)) {
    split->rule = rule;
    const Pipeline& sum = encoder.pipeline("weight_norm_split", "wn_split_sum_" + chunks.suffix);
    const Pipeline& apply = encoder.pipeline("weight_norm_split", "wn_split_apply_" + chunks.suffix);
    const Memory partial = encoder.memory(16 * split->parts * static_cast<uint64_t>(rows));
    Dispatch(encoder, sum)
        .input(0, v)
        .bind(1, *partial, Access::kWrite)
        .value(2, *split)
        .groups(MTLSizeMake(split->parts, static_cast<NSUInteger>(rows), 1), MTLSizeMake(wholeSimdgroups(512, sum.maxThreads), 1, 1));
    Dispatch second(encoder, apply);
    bindNorm(second, v, g, result, output)
        .bind(4, *partial, Access::kRead)
        .value(5, *split)
        .groups(MTLSizeMake(output == NormRule::kWeight ? split->parts : 1, static_cast<NSUInteger>(rows), 1),
                MTLSizeMake(wholeSimdgroups(512, apply.maxThreads), 1, 1));
    return;
  }
  const RowsLaunch launch = rowsLaunch(encoder, "weight_norm", "wn", chunks, rows, columns, {4});
  const RowsParams params{static_cast<uint64_t>(rows), static_cast<uint32_t>(columns), launch.lanes, rule};
  Dispatch dispatch(encoder, launch.pipeline);
  bindNorm(dispatch, v, g, result, output).value(4, params).groups(MTLSizeMake(launch.groups, 1, 1), MTLSizeMake(launch.threads, 1, 1));
}

// False where one strip of columns does not fit a threadgroup.
bool encodeColumns(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, const ColumnNest& nest,
                   const Chunking& chunks, const NormRule& rule) {
  const Pipeline* pipeline = &encoder.pipeline("weight_norm_columns", "wn_columns_k8_" + chunks.suffix);
  auto launch = columnLaunch(nest, chunks.width, pipeline->maxThreads);
  if (!launch || launch->params.rows > 8 * launch->params.depth) {
    pipeline = &encoder.pipeline("weight_norm_columns", "wn_columns_" + chunks.suffix);
    launch = columnLaunch(nest, chunks.width, pipeline->maxThreads);
    if (!launch) return false;
  }
  launch->params.rule = rule;
  Dispatch dispatch(encoder, *pipeline);
  bindNorm(dispatch, v, g, result, static_cast<NormRule::Output>(rule.output))
      .value(4, launch->params)
      .threadgroupMemory(0, launch->board)
      .groups(MTLSizeMake(launch->groups, 1, 1), MTLSizeMake(launch->threads, 1, 1));
  return true;
}

}  // namespace

void encodeNorm(Encoder& encoder, const core::Tensor& v, const core::Tensor& g, const core::Tensor& result, uint32_t reduce,
                const std::optional<double>& eps, NormRule::Output output) {
  const core::Nest nest(v.shape, reduce);
  const NormRule rule = normRule(g.dtype, eps, output);
  if (nest.form == core::Nest::Form::kRows) return encodeRows(encoder, v, g, result, nest.kept, nest.reduced, rule);
  if (const auto columns = columnNest(nest)) {
    const Chunking chunks = chunking(v.dtype, columns->kept * columns->run);
    if (encodeColumns(encoder, v, g, result, *columns, chunks, rule)) return;
    if (encodeColumns(encoder, v, g, result, *columns, chunking(v.dtype, 1), rule)) return;
  }
  NestParams params = nestParams(nest);
  params.rule = rule;
  const Pipeline& pipeline = encoder.pipeline("weight_norm_nest", kernelName("wn_nest", v.dtype));
  Dispatch dispatch(encoder, pipeline);
  bindNorm(dispatch, v, g, result, output)
      .value(4, params)
      .groups(MTLSizeMake(static_cast<NSUInteger>(nest.kept), 1, 1),
              MTLSizeMake(wholeSimdgroups(std::min<int64_t>(nest.reduced, 1024), pipeline.maxThreads), 1, 1));
}

void encode(Encoder& encoder, const core::WeightNormOp& op) {
  encodeNorm(encoder, op.v, op.g, op.w, op.reduce, op.eps, NormRule::kWeight);
}

}  // namespace weightnorm::metal
