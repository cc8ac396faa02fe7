#pragma once

#include <vector>

#include "core/ops.h"
#include "cpu/conv_kernels.h"

namespace weightnorm::cpu {

// The tensors around a convolution as its algorithms read and write them: one channel of one image at a time.
// Made on the queue's thread; const methods on any thread while the operation runs.
class ConvOperands {
 public:
  explicit ConvOperands(const core::ConvOp& op);

  // How to read row `line` of a channel of x: everything but start, step, count and out.
  GatherRow input(int64_t image, int64_t channel, int64_t line) const;
  // How to finish sums[0, count) of a channel of y, from `element` of its plane on.
  FinishRow output(int64_t image, int64_t channel, int64_t element, float* sums, int64_t count) const;

 private:
  const core::ConvOp& op_;
  const std::byte *x_, *residual_, *running_;
  std::byte* y_;
  std::vector<float> scale_, bias_, preAlpha_, postAlpha_;
  int64_t inputChannels_, outputChannels_, rowLength_;
  core::Rows xRows_, residualRows_, runningRows_, yRows_;
};

}  // namespace weightnorm::cpu
