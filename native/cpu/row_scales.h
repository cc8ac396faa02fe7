#pragma once

#include "core/ops.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Norm scales of a weight whose rows are normalised one by one, left to the operation that reads those rows to pack them:
// they come out of the cache a second time then, not out of memory. The same bits as any other way to compute them.
class RowScales final : public core::Deferred {
 public:
  // Defers a segment's scales if they are those of rows and no packing of v exists yet. [queue] `pool` must outlive them.
  static bool defer(const core::ScaleOp::Segment& segment, Pool& pool);
  // The deferred scales behind `scale` (may be absent) if they are those of the rows of `weight`, else null. [queue]
  static RowScales* of(const core::Tensor& scale, const core::Tensor& weight);

  // Computes the scales of rows [first, last). Different rows on different threads.
  void rows(int64_t first, int64_t last) const;
  void run() override;

 private:
  RowScales(const core::ScaleOp::Segment& segment, Pool& pool);

  const core::Tensor v_, g_;
  const std::optional<double> eps_;
  const int64_t length_;  // of a row
  Pool& pool_;
  const void *const weight_, *const gains_;
  float* const scales_;
};

}  // namespace weightnorm::cpu
