#include "cpu/weight_norm.h"

#include <atomic>

#include "cpu/cpu_device.h"
#include "cpu/nest_tasks.h"
#include "cpu/norm_scale.h"

namespace weightnorm::cpu {

void weightNorm(const core::WeightNormOp& op, Pool& pool) {
  const NestPlan plan(op.v.shape, op.reduce, pool.threads());
  NestInput input{dataOf<void>(op.v), nullptr, op.v.dtype};
  void* const w = dataOf<void>(op.w);
  const void* const g = dataOf<void>(op.g);
  const double eps = epsOf(op.eps);
  const bool stream = streams(op.w.bytes(), pool.threads());
  const NormKernels& kernels = get_normKernels();
  const size_t dtype = static_cast<size_t>(op.v.dtype), gainType = static_cast<size_t>(op.g.dtype);
  const NormKernels::Scales scales = kernels.scales[gainType];

  if (plan.reducedBlocks() == 1) {
    // A task's elements are still in cache when it scales them.
    const int64_t size = plan.keptPerTask() + Scratch<double>::kPadding;
    Scratch<double> squares(size * pool.threads());
    Scratch<float> s(size * pool.threads());
    input.fetch = fetchable(w, op.w.bytes(), pool.threads());
    const bool near = rowsInCache(plan, op.w.bytes(), 2, pool.threads());
    pool.parallelFor(plan.tasks(), [&](int64_t index, int worker) {
      double* const sums = squares.at(size * worker);
      float* const scale = s.at(size * worker);
      const auto visit = [&](const NestPlan::Task& task, int64_t ahead) {
        const Stores stores{stream, ahead};
        sumTask(plan, task, Term::kSquare, input, sums, nullptr);
        if (scales(sums, g, task.keptBegin, task.keptCount, eps, scale)) {
          writeTask(plan, task, Apply::kScale, input, w, {scale, nullptr, nullptr}, stores);
        } else {
          wideScales(sums, op.g, task.keptBegin, task.keptCount, eps);
          writeTask(plan, task, Apply::kWideScale, input, w, {nullptr, sums, nullptr}, stores);
        }
      };
      if (!near) return plan.eachPiece(plan.task(index), kPieceElements, visit);
      eachRow(
          plan, plan.task(index),
          [&](const Block& rows, int64_t kept) { return kernels.normalise[dtype](input.v, g, op.g.dtype, w, rows, kept, eps); },
          [&](const NestPlan::Task& row) { visit(row, 0); });
    });
    return;
  }

  NestSums sums(plan, Term::kSquare);
  Scratch<float> s(plan.kept());
  std::atomic<bool> wide{false};
  pool.parallelFor(plan.tasks(), [&](int64_t index, int) { sums.sum(plan.task(index), input); });
  parallelRanges(pool, plan.kept(), kKeptGrain, [&](int64_t begin, int64_t end) {
    sums.combine(begin, end);
    if (!scales(sums.first() + begin, g, begin, end - begin, eps, s.at(begin))) wide = true;
  });
  if (wide) wideScales(sums.first(), op.g, 0, plan.kept(), eps);
  pool.parallelFor(plan.tasks(), [&](int64_t index, int) {
    const NestPlan::Task task = plan.task(index);
    if (wide) {
      writeTask(plan, task, Apply::kWideScale, input, w, {nullptr, sums.first() + task.keptBegin, nullptr}, {stream, 0});
    } else {
      writeTask(plan, task, Apply::kScale, input, w, {s.at(task.keptBegin), nullptr, nullptr}, {stream, 0});
    }
  });
}

}  // namespace weightnorm::cpu
