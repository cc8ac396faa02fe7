#include "metal/metal_ops.h"
#include "metal/strided.h"

namespace weightnorm::metal {

namespace {

// Where the kernel takes an operand from.
constexpr uint32_t kTensor = 0, kOneElement = 1, kNumber = 2;

struct ArithmeticParams {
  uint64_t count;
  float number;
  uint32_t unused;
};

struct BroadcastParams {
  Axes axes;
  uint64_t rows, columns;
  uint64_t firstStep, secondStep;
};

// Strides of `operand` along y's axes: 0 where it is broadcast.
std::array<uint64_t, core::kMaxRank> broadcastStrides(const core::Shape& operand, const core::Shape& y) {
  std::array<uint64_t, core::kMaxRank> strides{};
  const auto own = operand.strides();
  const int missing = y.rank() - operand.rank();
  for (int i = missing; i < y.rank(); ++i) {
    const int axis = i - missing;
    strides[static_cast<size_t>(i)] = operand[axis] == 1 ? 0 : static_cast<uint64_t>(own[static_cast<size_t>(axis)]);
  }
  return strides;
}

// y's axes without those of size 1, neighbours merged where both operands run on through them.
Axes mergedAxes(const core::ArithmeticOp& op) {
  const auto a = broadcastStrides(op.a.shape, op.y.shape), b = broadcastStrides(op.b.shape, op.y.shape);
  Axes axes;
  for (int i = 0; i < op.y.shape.rank(); ++i) {
    const auto size = static_cast<uint64_t>(op.y.shape[i]);
    if (size == 1) continue;
    const uint64_t first = a[static_cast<size_t>(i)], second = b[static_cast<size_t>(i)];
    const uint32_t last = axes.rank - 1;
    if (axes.rank && axes.first[last] == first * size && axes.second[last] == second * size) {
      axes.size[last] *= size;
      axes.first[last] = first;
      axes.second[last] = second;
    } else {
      axes.add(size, first, second);
    }
  }
  return axes;
}

Constants constantsOf(const core::ArithmeticOp& op, uint32_t first, uint32_t second, bool isWide) {
  return Constants().set(0, static_cast<uint32_t>(op.kind)).set(1, first).set(2, second).set(3, isWide);
}

void encodeFlat(Encoder& encoder, const core::ArithmeticOp& op, const core::Tensor& a, const core::Tensor& b, uint32_t first,
                uint32_t second) {
  const auto count = static_cast<uint64_t>(op.y.size());
  const Pipeline& pipeline = encoder.pipeline("arithmetic", kernelName("arithmetic", op.y.dtype), constantsOf(op, first, second, false));
  const Launch launch = linear(pipeline, (count + 3) / 4);
  Dispatch(encoder, pipeline)
      .input(0, a)
      .input(1, b)
      .output(2, op.y)
      .value(3, ArithmeticParams{count, op.scalar, 0})
      .threads(launch.grid, launch.group);
}

}  // namespace

void encode(Encoder& encoder, const core::ArithmeticOp& op) {
  if (!op.b) {
    if (op.scalarFirst) return encodeFlat(encoder, op, {}, op.a, kNumber, kTensor);
    return encodeFlat(encoder, op, op.a, {}, kTensor, kNumber);
  }
  const int64_t count = op.y.size();
  const auto from = [&](const core::Tensor& t) { return t.size() == count ? kTensor : kOneElement; };
  if ((op.a.size() == count || op.a.size() == 1) && (op.b.size() == count || op.b.size() == 1)) {
    return encodeFlat(encoder, op, op.a, op.b, from(op.a), from(op.b));
  }
  BroadcastParams params{mergedAxes(op), 0, 0, 0, 0};
  const uint32_t last = --params.axes.rank;
  params.columns = params.axes.size[last];
  params.rows = params.axes.count();
  params.firstStep = params.axes.first[last];
  params.secondStep = params.axes.second[last];
  const Pipeline& pipeline =
      encoder.pipeline("arithmetic", kernelName("arithmetic_broadcast", op.y.dtype), constantsOf(op, kTensor, kTensor, wide({count})));
  const Launch launch = rows(pipeline, params.rows, params.columns);
  Dispatch(encoder, pipeline).input(0, op.a).input(1, op.b).output(2, op.y).value(3, params).threads(launch.grid, launch.group);
}

}  // namespace weightnorm::metal
