#include <algorithm>
#include <string>

#include "metal/metal_ops.h"
#include "metal/stream.h"

namespace weightnorm::metal {

namespace {

constexpr int64_t kFewOutputs = 8;  // a group; below this an 8x8 matrix tile would be mostly padding
constexpr int64_t kFewTiles = 64;   // smaller tiles than that many large ones would keep the GPU busier
constexpr int64_t kNarrowExtent = int64_t{1} << 30;
constexpr uint32_t kGemmThreads = 128;

struct ConvAxis {  // kernels/conv.h
  int64_t in, out, stride, dilation, padBegin;
  uint32_t kernel, unused;
};
struct ConvRows {  // kernels/conv.h
  uint64_t pitch, start;
};
struct ConvParams {  // kernels/conv.h
  ConvAxis axis[2];
  ConvRows x, residual, running, y;
  StreamPart part;
  uint64_t batches;
  uint32_t channels, outputs, groups, biasType, preType, postType;
  float preParam, postParam, outScale;
  uint32_t tiles;
};
static_assert(sizeof(ConvParams) == 264);

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

ConvAxis convAxis(const core::ConvOp& op, int d) {
  const int rank = op.x.shape.rank(), at = rank - 2 + d;
  const auto i = static_cast<size_t>(d);
  if (rank == 3 && d == 0) return {1, 1, 1, 1, 0, 1, 0};
  ConvAxis axis{
      op.x.shape[at], op.y.shape[at], op.stride[i], op.dilation[i], op.padBegin[i], static_cast<uint32_t>(op.weight.shape[at]), 0};
  // Steps never taken would only widen the arithmetic.
  if ((op.transposed ? axis.in : axis.out) == 1) axis.stride = 1;
  if (axis.kernel == 1) axis.dilation = 1;
  return axis;
}

bool wideAxis(const ConvAxis& axis) {
  const int64_t span = axis.dilation * axis.kernel;
  return std::max({axis.in, axis.out, axis.stride, span, axis.padBegin, axis.in + axis.padBegin + span}) > kNarrowExtent;
}

// Contiguous rows are as long as the plane of a channel.
ConvRows convRows(const core::Rows& rows, const core::Tensor& tensor) {
  const int64_t plane = tensor.size() / (tensor.shape[0] * tensor.shape[1]);
  return {static_cast<uint64_t>(rows.pitch > 0 ? rows.pitch : plane), static_cast<uint64_t>(rows.start)};
}

ConvParams convParams(const core::ConvOp& op) {
  ConvParams p{};
  p.x = convRows(op.xRows, op.x);
  p.residual = convRows(op.residualRows, op.y);
  p.running = convRows(op.runningRows, op.y);
  p.y = convRows(op.yRows, op.y);
  p.axis[0] = convAxis(op, 0);
  p.axis[1] = convAxis(op, 1);
  p.batches = static_cast<uint64_t>(op.x.shape[0]);
  p.groups = static_cast<uint32_t>(op.groups);
  p.channels = static_cast<uint32_t>(op.x.shape[1] / op.groups);
  p.outputs = static_cast<uint32_t>(op.y.shape[1] / op.groups);
  p.biasType = static_cast<uint32_t>(op.bias.dtype);
  p.preType = static_cast<uint32_t>(op.pre.alpha.dtype);
  p.postType = static_cast<uint32_t>(op.post.alpha.dtype);
  p.preParam = op.pre.param;
  p.postParam = op.post.param;
  p.outScale = op.outScale;
  return p;
}

Constants convConstants(const core::ConvOp& op, const ConvParams& p) {
  const auto span = [](const ConvRows& rows, const core::Tensor& t) { return static_cast<int64_t>(rows.pitch) * t.shape[0] * t.shape[1]; };
  const bool isWide = wide({span(p.x, op.x), span(p.y, op.y), op.weight.size()}) || wideAxis(p.axis[0]) || wideAxis(p.axis[1]);
  const uint32_t scale = !op.scale ? 0 : op.scale.size() == 1 ? 1 : op.scalePerInput ? 3 : 2;
  return Constants()
      .set(0, op.transposed)
      .set(1, isWide)
      .set(2, scale)
      .set(3, static_cast<bool>(op.bias))
      .set(4, static_cast<bool>(op.residual))
      .set(5, static_cast<bool>(op.running))
      .set(6, static_cast<uint32_t>(op.padMode))
      .set(7, static_cast<uint32_t>(op.pre.kind))
      .set(8, static_cast<uint32_t>(op.post.kind))
      .set(9, op.pre.logScale)
      .set(10, op.post.logScale);
}

Dispatch& bindConv(Dispatch& dispatch, const core::ConvOp& op, const ConvParams& params, const core::Tensor& before,
                   const core::Tensor& after) {
  return dispatch.input(0, op.x)
      .input(1, op.weight)
      .input(2, op.bias)
      .input(3, op.scale)
      .input(4, op.residual)
      .input(5, op.running)
      .input(6, op.pre.alpha)
      .input(7, op.post.alpha)
      .output(8, op.y)
      .value(9, params)
      .input(10, before)
      .bind(11, after, Access::kWritePart);
}

}  // namespace

// The choice of kernel looks at the layer alone and every tile size sums in the same order, so an output element's order of
// operations never depends on batch, length or position, with or without `direct`.
void encodeConv(Encoder& encoder, const core::ConvOp& op, const StreamPart& part, const core::Tensor& before, const core::Tensor& after) {
  ConvParams params = convParams(op);
  params.part = part;
  const Constants constants = convConstants(op, params);
  if (params.outputs < kFewOutputs) {
    const Pipeline& pipeline = encoder.pipeline("conv_direct", kernelName("conv_direct", op.x.dtype), constants);
    const Launch launch =
        linear(pipeline, static_cast<uint64_t>(op.y.size()) + params.part.head * params.batches * params.outputs * params.groups);
    Dispatch dispatch(encoder, pipeline);
    bindConv(dispatch, op, params, before, after).threads(launch.grid, launch.group);
    return;
  }
  const int64_t strideH = op.transposed ? params.axis[0].stride : 1, strideW = op.transposed ? params.axis[1].stride : 1;
  const int64_t phases = strideH * strideW;
  const int64_t positions =
      static_cast<int64_t>(params.batches) * ceilDiv(params.axis[0].out, strideH) * ceilDiv(params.axis[1].out, strideW);
  int64_t rows = params.outputs <= 32 ? 32 : 64, columns = positions <= 32 ? 32 : 64;
  const auto tiles = [&] { return op.groups * ceilDiv(params.outputs, rows) * ceilDiv(positions, columns) * phases; };
  if (tiles() < kFewTiles) rows = 32;
  if (tiles() < kFewTiles) columns = 32;
  params.tiles = static_cast<uint32_t>(ceilDiv(params.outputs, rows));
  const std::string base = "conv_gemm_" + std::to_string(rows) + "x" + std::to_string(columns);
  const Pipeline& pipeline = encoder.pipeline("conv_gemm", kernelName(base, op.x.dtype), constants);
  Dispatch dispatch(encoder, pipeline);
  bindConv(dispatch, op, params, before, after)
      .groups(MTLSizeMake(static_cast<NSUInteger>(ceilDiv(positions, columns)), static_cast<NSUInteger>(op.groups * params.tiles),
                          static_cast<NSUInteger>(phases + (part.head > 0 ? 1 : 0))),
              MTLSizeMake(kGemmThreads, 1, 1));
}

void encode(Encoder& encoder, const core::ConvOp& op) {
  encodeConv(encoder, op, {}, {}, {});
}

}  // namespace weightnorm::metal
