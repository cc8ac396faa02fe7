#include "cpu/conv_operands.h"

#include "cpu/operands.h"

namespace weightnorm::cpu {

namespace {

RowActivation rowActivation(const core::Activation& act, const std::vector<float>& alpha, int64_t channel) {
  RowActivation row{act.kind, act.param, 1, act.logScale};
  if (!alpha.empty()) row.alpha = alpha[static_cast<size_t>(channel)];
  return row;
}

}  // namespace

ConvOperands::ConvOperands(const core::ConvOp& op)
    : op_(op),
      x_(bytesOf(op.x)),
      residual_(bytesOf(op.residual)),
      running_(bytesOf(op.running)),
      y_(dataOf<std::byte>(op.y)),
      scale_(channelValues(op.scale, op.scalePerInput ? op.x.shape[1] : op.y.shape[1])),
      bias_(channelValues(op.bias, op.y.shape[1])),
      preAlpha_(channelValues(op.pre.alpha, op.x.shape[1])),
      postAlpha_(channelValues(op.post.alpha, op.y.shape[1])),
      inputChannels_(op.x.shape[1]),
      outputChannels_(op.y.shape[1]),
      rowLength_(op.x.shape[op.x.shape.rank() - 1]),
      inputPlane_(op.x.size() / (op.x.shape[0] * inputChannels_)),
      outputPlane_(op.y.size() / (op.y.shape[0] * outputChannels_)) {}

GatherRow ConvOperands::input(int64_t image, int64_t channel, int64_t line) const {
  const int64_t first = (image * inputChannels_ + channel) * inputPlane_ + line * rowLength_;
  GatherRow row{};
  row.x = x_ + static_cast<uint64_t>(first) * sizeOf(op_.x.dtype);
  row.dtype = op_.x.dtype;
  row.mode = op_.padMode;
  row.length = rowLength_;
  row.act = rowActivation(op_.pre, preAlpha_, channel);
  row.scale = op_.scalePerInput ? scale_[static_cast<size_t>(channel)] : 1.0f;
  return row;
}

FinishRow ConvOperands::output(int64_t image, int64_t channel, int64_t element, float* sums, int64_t count) const {
  const int64_t first = (image * outputChannels_ + channel) * outputPlane_ + element;
  const uint64_t bytes = static_cast<uint64_t>(first) * sizeOf(op_.y.dtype);
  FinishRow row{};
  row.sum = sums;
  row.count = count;
  row.dtype = op_.y.dtype;
  row.scale = scale_.empty() || op_.scalePerInput ? 1.0f : scale_[static_cast<size_t>(channel)];
  row.bias = bias_.empty() ? 0.0f : bias_[static_cast<size_t>(channel)];
  row.outScale = op_.outScale;
  row.act = rowActivation(op_.post, postAlpha_, channel);
  row.residual = residual_ ? residual_ + bytes : nullptr;
  row.running = running_ ? running_ + bytes : nullptr;
  row.y = y_ + bytes;
  return row;
}

}  // namespace weightnorm::cpu
