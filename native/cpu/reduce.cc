#include "cpu/reduce.h"

#include <algorithm>

#include "cpu/cpu_device.h"
#include "cpu/nest_tasks.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

void reduce(const core::ReduceOp& op, Pool& pool) {
  const NestPlan plan(op.x.shape, op.reduce);
  const NestInput input{dataOf<void>(op.x), nullptr, op.x.dtype};
  std::byte* const y = dataOf<std::byte>(op.y);
  const double divisor = op.mean ? static_cast<double>(plan.reduced()) : 1.0;
  reduceNest(plan, Term::kValue, input, pool, [&](double* sums, double*, int64_t begin, int64_t count) {
    constexpr int64_t kTile = 256;
    float tile[kTile];
    for (int64_t i = 0; i < count; i += kTile) {
      const int64_t n = std::min(kTile, count - i);
      for (int64_t j = 0; j < n; ++j) tile[j] = static_cast<float>(sums[i + j] / divisor);
      void* const out = y + static_cast<size_t>(begin + i) * core::sizeOf(op.y.dtype);
      get_vecTable().convert(tile, core::DType::kFloat32, out, op.y.dtype, n);
    }
  });
}

}  // namespace weightnorm::cpu
