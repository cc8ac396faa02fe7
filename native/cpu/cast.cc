#include "cpu/cast.h"

#include "cpu/cpu_device.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

void cast(const core::CastOp& op, Pool& pool) {
  constexpr int64_t kGrain = int64_t{1} << 16;
  const auto convert = get_vecTable().convert;
  const std::byte* const x = dataOf<std::byte>(op.x);
  std::byte* const y = dataOf<std::byte>(op.y);
  const int64_t xSize = static_cast<int64_t>(core::sizeOf(op.x.dtype)), ySize = static_cast<int64_t>(core::sizeOf(op.y.dtype));
  parallelRanges(pool, op.x.size(), kGrain,
                 [&](int64_t begin, int64_t end) { convert(x + begin * xSize, op.x.dtype, y + begin * ySize, op.y.dtype, end - begin); });
}

}  // namespace weightnorm::cpu
