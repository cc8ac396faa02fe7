#include "metal/copy_rows.h"
#include "metal/metal_ops.h"

namespace weightnorm::metal {

void encode(Encoder& encoder, const core::NarrowOp& op) {
  uint64_t outer = 1, inner = 1;
  for (int i = 0; i < op.axis; ++i) outer *= static_cast<uint64_t>(op.x.shape[i]);
  for (int i = op.axis + 1; i < op.x.shape.rank(); ++i) inner *= static_cast<uint64_t>(op.x.shape[i]);
  const auto length = static_cast<uint64_t>(op.y.shape[op.axis]), whole = static_cast<uint64_t>(op.x.shape[op.axis]);
  copyRows(encoder, "narrow", op.x, op.y,
           {outer, length * inner, whole * inner, static_cast<uint64_t>(op.start) * inner, length * inner, 0});
}

}  // namespace weightnorm::metal
