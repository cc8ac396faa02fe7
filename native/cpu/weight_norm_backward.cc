#include "cpu/weight_norm_backward.h"

#include "cpu/cpu_device.h"
#include "cpu/nest_tasks.h"
#include "cpu/norm_scale.h"

namespace weightnorm::cpu {

void weightNormBackward(const core::WeightNormBackwardOp& op, Pool& pool) {
  const NestPlan plan(op.v.shape, op.reduce, pool.threads());
  NestInput input{dataOf<void>(op.v), dataOf<void>(op.gradW), op.v.dtype};
  void* const gradV = dataOf<void>(op.gradV);
  const bool stream = streams(op.gradV.bytes(), pool.threads());
  const NormKernels& kernels = get_normKernels();
  const size_t dtype = static_cast<size_t>(op.v.dtype), gainType = static_cast<size_t>(op.g.dtype);
  const void* const g = dataOf<void>(op.g);
  void* const gradG = dataOf<void>(op.gradG);
  const double eps = epsOf(op.eps);
  // Turns sums of squares and products into the coefficients of Apply::kGradient, in place.
  const auto finish = [&](double* squares, double* products, int64_t begin, int64_t count) {
    kernels.gradients[gainType](squares, products, g, gradG, begin, count, eps, squares, products);
  };

  if (plan.reducedBlocks() == 1) {
    const int64_t size = plan.keptPerTask() + Scratch<double>::kPadding;
    Scratch<double> first(size * pool.threads()), second(size * pool.threads());
    input.fetch = fetchable(gradV, op.gradV.bytes(), pool.threads());
    const bool near = rowsInCache(plan, op.gradV.bytes(), 3, pool.threads());
    pool.parallelFor(plan.tasks(), [&](int64_t index, int worker) {
      double* const a = first.at(size * worker);
      double* const b = second.at(size * worker);
      const auto visit = [&](const NestPlan::Task& task, int64_t ahead) {
        sumTask(plan, task, Term::kSquareAndProduct, input, a, b);
        finish(a, b, task.keptBegin, task.keptCount);
        writeTask(plan, task, Apply::kGradient, input, gradV, {nullptr, a, b}, {stream, ahead});
      };
      if (!near) return plan.eachPiece(plan.task(index), kPieceElements, visit);
      const auto differentiate = kernels.differentiate[dtype];
      eachRow(
          plan, plan.task(index),
          [&](const Block& rows, int64_t kept) {
            return differentiate(input.gradW, input.v, g, op.g.dtype, gradV, gradG, rows, kept, eps);
          },
          [&](const NestPlan::Task& row) { visit(row, 0); });
    });
    return;
  }

  NestSums sums(plan, Term::kSquareAndProduct);
  pool.parallelFor(plan.tasks(), [&](int64_t index, int) { sums.sum(plan.task(index), input); });
  parallelRanges(pool, plan.kept(), kKeptGrain, [&](int64_t begin, int64_t end) {
    sums.combine(begin, end);
    finish(sums.first() + begin, sums.second() + begin, begin, end - begin);
  });
  pool.parallelFor(plan.tasks(), [&](int64_t index, int) {
    const NestPlan::Task task = plan.task(index);
    const Coefficients by{nullptr, sums.first() + task.keptBegin, sums.second() + task.keptBegin};
    writeTask(plan, task, Apply::kGradient, input, gradV, by, {stream, 0});
  });
}

}  // namespace weightnorm::cpu
