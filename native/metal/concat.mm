#include "metal/copy_rows.h"
#include "metal/metal_ops.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::ConcatOp& op) {
  uint64_t outer = 1, inner = 1;
  for (int i = 0; i < op.axis; ++i) outer *= static_cast<uint64_t>(op.y.shape[i]);
  for (int i = op.axis + 1; i < op.y.shape.rank(); ++i) inner *= static_cast<uint64_t>(op.y.shape[i]);
  const uint64_t whole = static_cast<uint64_t>(op.y.shape[op.axis]) * inner;
  uint64_t start = 0;
  for (const core::Tensor& part : op.parts) {
    const uint64_t columns = static_cast<uint64_t>(part.shape[op.axis]) * inner;
    copyRows(encoder, "concat", part, op.y, {outer, columns, columns, 0, whole, start});
    start += columns;
  }
}

}  // namespace weightnorm::metal
