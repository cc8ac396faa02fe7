#include "cpu/norm.h"

#include "cpu/cpu_device.h"
#include "cpu/nest_tasks.h"

namespace weightnorm::cpu {

void norm(const core::NormOp& op, Pool& pool) {
  const NestPlan plan(op.v.shape, op.reduce);
  const NestInput input{dataOf<void>(op.v), nullptr, op.v.dtype};
  float* const n = dataOf<float>(op.n);
  const NormKernels& kernels = get_normKernels();
  reduceNest(plan, Term::kSquare, input, pool,
             [&](double* squares, double*, int64_t begin, int64_t count) { kernels.norms(squares, count, n + begin); });
}

}  // namespace weightnorm::cpu
