#include "cpu/upload.h"

#include "cpu/copy.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

void upload(const core::UploadOp& op, Pool& pool) {
  const int64_t bytes = static_cast<int64_t>(op.y.bytes());
  copyRows(pool, dataOf<std::byte>(op.y), bytes, op.data.get(), bytes, 1, bytes);
}

}  // namespace weightnorm::cpu
