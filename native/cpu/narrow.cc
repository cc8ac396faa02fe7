#include "cpu/narrow.h"

#include "cpu/copy.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

void narrow(const core::NarrowOp& op, Pool& pool) {
  int64_t outer = 1, inner = static_cast<int64_t>(core::sizeOf(op.x.dtype));
  for (int i = 0; i < op.axis; ++i) outer *= op.x.shape[i];
  for (int i = op.axis + 1; i < op.x.shape.rank(); ++i) inner *= op.x.shape[i];
  const std::byte* const from = dataOf<std::byte>(op.x) + op.start * inner;
  const int64_t bytes = op.y.shape[op.axis] * inner;
  copyRows(pool, dataOf<std::byte>(op.y), bytes, from, op.x.shape[op.axis] * inner, outer, bytes);
}

}  // namespace weightnorm::cpu
