#include "core/backend.h"
#include "core/prepare.h"

namespace weightnorm::core {

namespace {

using Long = long long;
constexpr int64_t kMaxExtent = int64_t{1} << 40;
// What a dimension may hold: products of options are refused before they leave it.
constexpr int64_t kMaxElements = int64_t{1} << 53;

int64_t bounded(const char* what, int64_t a, int64_t b) {
  if (b != 0 && a > kMaxElements / b) {
    throw Error(Code::kMemory, format("%s of %lld x %lld is larger than any tensor", what, static_cast<Long>(a), static_cast<Long>(b)));
  }
  return a * b;
}

void requireRange(const char* argument, int64_t value, int64_t least) {
  if (value < least || value > kMaxExtent) {
    throw Error(Code::kArgument,
                format("%s is %lld; it must be at least %lld", argument, static_cast<Long>(value), static_cast<Long>(least)));
  }
}

void requireVector(const char* argument, const Tensor& x, const Tensor& t, int64_t length) {
  if (!t) return;
  requireSameDevice("x", x, argument, t);
  if (t.dtype != x.dtype && t.dtype != DType::kFloat32) {
    throw Error(Code::kDType,
                format("%s is %s; beside a %s x it must be %s or float32", argument, name(t.dtype), name(x.dtype), name(x.dtype)));
  }
  if (t.shape.rank() != 1 || t.shape[0] != length) {
    throw Error(Code::kShape, format("%s has shape %s; it must be [%lld]", argument, t.shape.str().c_str(), static_cast<Long>(length)));
  }
}

void requireScale(const Tensor& x, const Tensor& scale, int64_t channels) {
  if (!scale) return;
  requireSameDevice("x", x, "scale", scale);
  if (scale.dtype != DType::kFloat32 || (scale.size() != 1 && scale.size() != channels)) {
    throw Error(Code::kShape, format("scale must be float32 with 1 or %lld elements, not %s of shape %s", static_cast<Long>(channels),
                                     name(scale.dtype), scale.shape.str().c_str()));
  }
}

void requireWeight(const Tensor& x, const Tensor& weight) {
  requireSameDevice("x", x, "weight", weight);
  requireSameDType("x", x, "weight", weight);
}

// Output extent of one axis; `d` is 0 for height, 1 for width. Padding that reflects or wraps is bounded by the input.
int64_t outputExtent(const ConvOp& op, size_t d, int64_t in, int64_t kernel) {
  const int64_t span = bounded("a kernel's span", op.dilation[d], kernel - 1) + 1;
  if (op.transposed) {
    const int64_t out = bounded("an output", in - 1, op.stride[d]) - op.padBegin[d] - op.padEnd[d] + span + op.outputPadding[d];
    if (out < 1)
      throw Error(Code::kShape, format("x of length %lld gives an output of length %lld: padding is too large", static_cast<Long>(in),
                                       static_cast<Long>(out)));
    return out;
  }
  const int64_t most = op.padMode == PadMode::kReflect ? in - 1 : op.padMode == PadMode::kCircular ? in : kMaxExtent;
  if (op.padBegin[d] > most || op.padEnd[d] > most) {
    throw Error(Code::kArgument,
                format("padding of %lld and %lld is more than an input of length %lld allows in this paddingMode (at most %lld)",
                       static_cast<Long>(op.padBegin[d]), static_cast<Long>(op.padEnd[d]), static_cast<Long>(in), static_cast<Long>(most)));
  }
  const int64_t padded = in + op.padBegin[d] + op.padEnd[d];
  if (padded < span) {
    throw Error(Code::kShape, format("x of length %lld, %lld with padding, is shorter than the kernel's span of %lld",
                                     static_cast<Long>(in), static_cast<Long>(padded), static_cast<Long>(span)));
  }
  return (padded - span) / op.stride[d] + 1;
}

}  // namespace

Shape checkConv(const ConvOp& op) {
  const int rank = op.x.shape.rank();
  const char* function = op.transposed ? (rank == 3 ? "convTranspose1d" : "convTranspose2d") : (rank == 3 ? "conv1d" : "conv2d");
  if ((rank != 3 && rank != 4) || op.weight.shape.rank() != rank) {
    throw Error(Code::kShape,
                format("a convolution takes x of rank 3 ([N, C, L]) or 4 ([N, C, H, W]) and a weight of the same rank; x is %s, weight %s",
                       op.x.shape.str().c_str(), op.weight.shape.str().c_str()));
  }
  requireWeight(op.x, op.weight);
  const bool height = op.stride[0] != 1 || op.dilation[0] != 1 || op.padBegin[0] != 0 || op.padEnd[0] != 0 || op.outputPadding[0] != 0;
  if (rank == 3 && height) throw Error(Code::kArgument, format("%s has no height", function));
  for (size_t d = rank == 3 ? 1 : 0; d < 2; ++d) {
    requireRange("stride", op.stride[d], 1);
    requireRange("dilation", op.dilation[d], 1);
    requireRange("padding", op.padBegin[d], 0);
    requireRange("padding", op.padEnd[d], 0);
    requireRange("outputPadding", op.outputPadding[d], 0);
    if (op.transposed && op.outputPadding[d] >= op.stride[d] && op.outputPadding[d] >= op.dilation[d]) {
      throw Error(Code::kArgument,
                  format("outputPadding is %lld; it must be smaller than stride %lld or dilation %lld",
                         static_cast<Long>(op.outputPadding[d]), static_cast<Long>(op.stride[d]), static_cast<Long>(op.dilation[d])));
    }
  }
  requireRange("groups", op.groups, 1);
  const int64_t channels = op.x.shape[1];
  const int64_t perGroup = op.weight.shape[1];
  const int64_t expected = op.transposed ? op.weight.shape[0] : bounded("a number of channels", perGroup, op.groups);
  if (channels != expected) {
    throw Error(Code::kShape,
                format("%s: x has %lld channels; a weight of shape %s with groups %lld takes %lld", function, static_cast<Long>(channels),
                       op.weight.shape.str().c_str(), static_cast<Long>(op.groups), static_cast<Long>(expected)));
  }
  if (op.weight.shape[0] % op.groups != 0) {
    throw Error(Code::kArgument, format("%s: groups is %lld; it must divide the weight's first axis, %lld", function,
                                        static_cast<Long>(op.groups), static_cast<Long>(op.weight.shape[0])));
  }
  const int64_t outputs = op.transposed ? perGroup * op.groups : op.weight.shape[0];
  requireVector("bias", op.x, op.bias, outputs);
  requireScale(op.x, op.scale, op.scalePerInput ? channels : outputs);
  checkActivation("pre", op.pre, op.x, channels);
  checkActivation("post", op.post, op.x, outputs);

  Shape out = op.x.shape.with(1, outputs);
  for (int i = 2; i < rank; ++i) {
    out = out.with(i, outputExtent(op, static_cast<size_t>(i - rank + 2), op.x.shape[i], op.weight.shape[i]));
  }
  for (const auto& [argument, t] : {std::pair{"residual", &op.residual}, std::pair{"running", &op.running}}) {
    if (!*t) continue;
    requireSameDevice("x", op.x, argument, *t);
    requireSameDType("x", op.x, argument, *t);
    if (!(t->shape == out))
      throw Error(Code::kShape,
                  format("%s has shape %s; it must be the output's, %s", argument, t->shape.str().c_str(), out.str().c_str()));
  }
  return out;
}

void prepare(ConvOp& op) {
  op.y = makeLike(op.x, checkConv(op), op.x.dtype);
}

void prepare(LinearOp& op) {
  const int rank = op.x.shape.rank();
  if (rank < 1 || op.weight.shape.rank() != 2) {
    throw Error(Code::kShape, format("linear takes x of rank 1 or more ([..., in]) and a weight of rank 2 ([out, in]); x is %s, weight %s",
                                     op.x.shape.str().c_str(), op.weight.shape.str().c_str()));
  }
  requireWeight(op.x, op.weight);
  if (op.x.shape[rank - 1] != op.weight.shape[1]) {
    throw Error(Code::kShape,
                format("linear: x has %lld features; a weight of shape %s takes %lld", static_cast<Long>(op.x.shape[rank - 1]),
                       op.weight.shape.str().c_str(), static_cast<Long>(op.weight.shape[1])));
  }
  const int64_t outputs = op.weight.shape[0];
  requireVector("bias", op.x, op.bias, outputs);
  requireScale(op.x, op.scale, outputs);
  checkActivation("post", op.post, op.x, outputs);
  op.y = makeLike(op.x, op.x.shape.with(rank - 1, outputs), op.x.dtype);
}

}  // namespace weightnorm::core
