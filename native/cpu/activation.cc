#include "cpu/activation.h"

#include "cpu/cpu_device.h"
#include "cpu/elementwise_kernels.h"
#include "cpu/nest_tasks.h"

namespace weightnorm::cpu {

namespace {

constexpr int64_t kGrain = int64_t{1} << 14;

void snakeActivation(const core::ActivationOp& op, Pool& pool) {
  const core::Shape& shape = op.x.shape;
  const int axis = shape.rank() > 2 ? 1 : 0;
  const int64_t channels = shape.rank() ? shape[axis] : 1;
  int64_t length = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) length *= shape[i];
  const ElementwiseKernels& kernels = get_elementwiseKernels();
  Scratch<float> alpha(channels), scale(channels);
  const core::Tensor& given = op.activation.alpha;
  kernels.snakeChannels(dataOf<void>(given), given.dtype, channels, op.activation.logScale, alpha.at(0), scale.at(0));

  const auto kernel = kernels.snake[static_cast<size_t>(op.x.dtype)];
  const void* const x = dataOf<void>(op.x);
  void* const y = dataOf<void>(op.y);
  parallelRanges(pool, op.x.size(), kGrain,
                 [&](int64_t begin, int64_t end) { kernel(x, y, {begin, end - begin}, length, channels, alpha.at(0), scale.at(0)); });
}

}  // namespace

void activation(const core::ActivationOp& op, Pool& pool) {
  if (op.activation.kind == core::Act::kSnake) return snakeActivation(op, pool);
  const auto& table = get_elementwiseKernels().activate[static_cast<size_t>(op.activation.kind)];
  const auto kernel = table[static_cast<size_t>(op.x.dtype)];
  const void* const x = dataOf<void>(op.x);
  void* const y = dataOf<void>(op.y);
  parallelRanges(pool, op.x.size(), kGrain, [&](int64_t begin, int64_t end) { kernel(x, y, {begin, end - begin}, op.activation.param); });
}

}  // namespace weightnorm::cpu
