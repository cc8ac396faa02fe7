#include "cpu/scale.h"

#include <algorithm>
#include <deque>

#include "cpu/cpu_device.h"
#include "cpu/nest_tasks.h"
#include "cpu/norm_scale.h"
#include "cpu/row_scales.h"

namespace weightnorm::cpu {

namespace {

struct Work {
  explicit Work(const core::ScaleOp::Segment& segment)
      : segment(segment),
        plan(segment.v.shape, segment.reduce),
        sums(plan, Term::kSquare),
        input{dataOf<void>(segment.v), nullptr, segment.v.dtype},
        g(dataOf<void>(segment.g)),
        s(dataOf<float>(segment.scale)) {}

  void finish(int64_t begin, int64_t end) {
    const auto scales = get_normKernels().scales[static_cast<size_t>(segment.g.dtype)];
    scales(sums.first() + begin, g, begin, end - begin, epsOf(segment.eps), s + begin);
  }

  const core::ScaleOp::Segment& segment;
  const NestPlan plan;
  NestSums sums;
  NestInput input;
  const void* g;
  float* s;
};

}  // namespace

void scale(const core::ScaleOp& op, Pool& pool) {
  std::deque<Work> works;  // stable addresses: sums refer to their plans
  std::vector<int64_t> firstTask;
  int64_t tasks = 0;
  for (const core::ScaleOp::Segment& segment : op.segments) {
    if (RowScales::defer(segment, pool)) continue;
    works.emplace_back(segment);
    firstTask.push_back(tasks);
    tasks += works.back().plan.tasks();
  }
  pool.parallelFor(tasks, [&](int64_t index, int) {
    const auto after = std::upper_bound(firstTask.begin(), firstTask.end(), index);
    const auto at = static_cast<size_t>(after - firstTask.begin() - 1);
    Work& work = works[at];
    const NestPlan::Task task = work.plan.task(index - firstTask[at]);
    work.sums.sum(task, work.input);
    if (work.plan.reducedBlocks() == 1) work.finish(task.keptBegin, task.keptBegin + task.keptCount);
  });
  for (Work& work : works) {
    if (work.plan.reducedBlocks() == 1) continue;
    parallelRanges(pool, work.plan.kept(), kKeptGrain, [&](int64_t begin, int64_t end) {
      work.sums.combine(begin, end);
      work.finish(begin, end);
    });
  }
}

}  // namespace weightnorm::cpu
