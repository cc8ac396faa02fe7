#include "metal/copy_rows.h"

namespace weightnorm::metal {

void copyRows(Encoder& encoder, const char* library, const core::Tensor& from, const core::Tensor& to, CopyRows copy) {
  // The widest unit in which every row starts and ends.
  const uint64_t element = core::sizeOf(to.dtype);
  uint64_t together = copy.columns | copy.fromStart | copy.toStart;
  if (copy.rows > 1) together |= copy.fromStride | copy.toStride;
  uint64_t unit = element;
  while (unit < 16 && together % (2 * unit / element) == 0) unit *= 2;
  const uint64_t each = unit / element;
  copy = {copy.rows, copy.columns / each, copy.fromStride / each, copy.fromStart / each, copy.toStride / each, copy.toStart / each};
  const Pipeline& pipeline = encoder.pipeline(library, "copy_rows_" + std::to_string(unit));
  const Launch launch = rows(pipeline, copy.rows, copy.columns);
  Dispatch(encoder, pipeline).input(0, from).bind(1, to, Access::kWritePart).value(2, copy).threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
