#include "cpu/concat.h"

#include "cpu/copy.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

void concat(const core::ConcatOp& op, Pool& pool) {
  int64_t outer = 1, inner = static_cast<int64_t>(core::sizeOf(op.y.dtype));
  for (int i = 0; i < op.axis; ++i) outer *= op.y.shape[i];
  for (int i = op.axis + 1; i < op.y.shape.rank(); ++i) inner *= op.y.shape[i];
  std::byte* to = dataOf<std::byte>(op.y);
  for (const core::Tensor& part : op.parts) {
    const int64_t bytes = part.shape[op.axis] * inner;
    copyRows(pool, to, op.y.shape[op.axis] * inner, dataOf<std::byte>(part), bytes, outer, bytes);
    to += bytes;
  }
}

}  // namespace weightnorm::cpu
