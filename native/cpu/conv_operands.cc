#include "cpu/conv_operands.h"

#include "cpu/operands.h"

namespace weightnorm::cpu {

namespace {

RowActivation rowActivation(const core::Activation& act, const std::vector<float>& alpha, int64_t channel) {
  RowActivation row{act.kind, act.param, 1, act.logScale};
  if (!alpha.empty()) row.alpha = alpha[static_cast<size_t>(channel)];
  return row;
}

// Contiguous rows are as long as the plane of a channel.
core::Rows rowsOf(const core::Rows& rows, const core::Tensor& tensor, int64_t channels) {
  return rows.pitch > 0 ? rows : core::Rows{tensor.size() / (tensor.shape[0] * channels), 0};
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
      xRows_(rowsOf(op.xRows, op.x, inputChannels_)),
      residualRows_(rowsOf(op.residualRows, op.y, outputChannels_)),
      runningRows_(rowsOf(op.runningRows, op.y, outputChannels_)),
      yRows_(rowsOf(op.yRows, op.y, outputChannels_)) {}

GatherRow ConvOperands::input(int64_t image, int64_t channel, int64_t line) const {
  const int64_t first = (image * inputChannels_ + channel) * xRows_.pitch + xRows_.start + line * rowLength_;
  // Every field by hand: clearing the whole struct compiles to a string instruction, whose stores the reader waits for.
  GatherRow row;
  row.x = x_ + static_cast<uint64_t>(first) * sizeOf(op_.x.dtype);
  row.dtype = op_.x.dtype;
  row.mode = op_.padMode;
  row.length = rowLength_;
  row.start = 0;
  row.step = 1;
  row.count = 0;
  row.out = nullptr;
  row.act = rowActivation(op_.pre, preAlpha_, channel);
  row.scale = op_.scalePerInput ? scale_[static_cast<size_t>(channel)] : 1.0f;
  return row;
}

FinishRow ConvOperands::output(int64_t image, int64_t channel, int64_t element, float* sums, int64_t count) const {
  const int64_t plane = image * outputChannels_ + channel;
  const auto bytes = [&](const core::Rows& rows) {
    return static_cast<uint64_t>(plane * rows.pitch + rows.start + element) * sizeOf(op_.y.dtype);
  };
  FinishRow row;
  row.sum = sums;
  row.count = count;
  row.dtype = op_.y.dtype;
  row.scale = scale_.empty() || op_.scalePerInput ? 1.0f : scale_[static_cast<size_t>(channel)];
  row.bias = bias_.empty() ? 0.0f : bias_[static_cast<size_t>(channel)];
  row.outScale = op_.outScale;
  row.act = rowActivation(op_.post, postAlpha_, channel);
  row.residual = residual_ ? residual_ + bytes(residualRows_) : nullptr;
  row.running = running_ ? running_ + bytes(runningRows_) : nullptr;
  row.y = y_ + bytes(yRows_);
  return row;
}

}  // namespace weightnorm::cpu
