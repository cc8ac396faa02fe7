#include "metal/metal_ops.h"

namespace weightnorm::metal {

namespace {

struct ActivationParams {
  uint64_t count;
  float param;
  uint32_t unused;
};

struct SnakeParams {
  uint64_t rows, columns;
  uint32_t channels, unused;
};

Constants constantsOf(const core::Activation& activation, bool vector, bool isWide) {
  const core::DType alpha = activation.alpha ? activation.alpha.dtype : core::DType::kFloat32;
  return Constants()
      .set(0, static_cast<uint32_t>(activation.kind))
      .set(1, activation.logScale)
      .set(2, static_cast<uint32_t>(alpha))
      .set(3, vector)
      .set(4, isWide);
}

void encodeSnake(Encoder& encoder, const core::ActivationOp& op) {
  const core::Shape& shape = op.x.shape;
  const int axis = shape.rank() > 2 ? 1 : 0;
  uint64_t columns = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) columns *= static_cast<uint64_t>(shape[i]);
  const uint64_t rowCount = static_cast<uint64_t>(op.x.size()) / columns;
  const bool vector = columns % 4 == 0;
  if (vector) columns /= 4;
  const Pipeline& pipeline =
      encoder.pipeline("activation", kernelName("activation_snake", op.x.dtype), constantsOf(op.activation, vector, wide({op.x.size()})));
  const Launch launch = rows(pipeline, rowCount, columns);
  Dispatch(encoder, pipeline)
      .input(0, op.x)
      .output(1, op.y)
      .value(2, SnakeParams{rowCount, columns, static_cast<uint32_t>(shape[axis]), 0})
      .input(3, op.activation.alpha)
      .threads(launch.grid, launch.group);
}

}  // namespace

void encode(Encoder& encoder, const core::ActivationOp& op) {
  if (op.activation.kind == core::Act::kSnake) return encodeSnake(encoder, op);
  const auto count = static_cast<uint64_t>(op.x.size());
  const Pipeline& pipeline = encoder.pipeline("activation", kernelName("activation", op.x.dtype), constantsOf(op.activation, true, false));
  const Launch launch = linear(pipeline, (count + 3) / 4);
  Dispatch(encoder, pipeline)
      .input(0, op.x)
      .output(1, op.y)
      .value(2, ActivationParams{count, op.activation.param, 0})
      .threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
