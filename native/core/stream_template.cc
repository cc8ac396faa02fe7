#include "core/stream_template.h"

#include "core/backend.h"
#include "core/prepare.h"

namespace weightnorm::core {

namespace {

template <class Op>
auto operandsOf(Op& conv) {
  return std::array{&conv.weight, &conv.bias, &conv.scale, &conv.pre.alpha, &conv.post.alpha};
}

// Calls visit(tensor, slot) for what a step reads and writes of the slots; slot −1: the output.
template <class Visit>
void eachValue(StreamStep& step, const Visit& visit) {
  using Kind = StreamStep::Kind;
  visit(step.value, step.slot);
  if (step.kind == Kind::kConv) visit(step.conv.y, step.slot);
  if (step.kind != Kind::kConv && step.kind != Kind::kCopy) return;
  visit(step.conv.x, step.x.slot);
  if (step.kind == Kind::kCopy) return;
  if (step.residual.slot >= 0) visit(step.conv.residual, step.residual.slot);
  if (step.running.slot >= 0) visit(step.conv.running, step.running.slot);
}

bool alike(const Tensor& tensor, const Tensor& outline, bool present, const Device* device) {
  if (static_cast<bool>(tensor) != present) return false;
  return !present || (tensor.dtype == outline.dtype && tensor.shape == outline.shape && &tensor.storage->device() == device);
}

}  // namespace

StreamTemplate::StreamTemplate(const StreamOp& prepared)
    : op_(prepared),
      hasX_(prepared.x),
      hasBefore_(prepared.before),
      hasY_(prepared.y),
      device_(&(prepared.x ? prepared.x : prepared.before).storage->device()) {
  for (StreamStep& step : op_.steps) {
    eachValue(step, [](Tensor& tensor, int64_t) { tensor.storage.reset(); });
    if (step.kind != StreamStep::Kind::kConv) continue;
    for (Tensor* tensor : operandsOf(step.conv)) {
      operands_.push_back({static_cast<bool>(*tensor), tensor->storage});
      tensor->storage.reset();
    }
  }
  for (Tensor* tensor : {&op_.x, &op_.before, &op_.y, &op_.after}) tensor->storage.reset();
  // Absent ones are told from the others by their rank: a slot in use has two axes.
  for (Tensor& slot : op_.memory) slot.storage.reset();
}

std::optional<StreamOp> StreamTemplate::make(const Tensor& x, const Tensor& before) const {
  if (!alike(x, op_.x, hasX_, device_) || !alike(before, op_.before, hasBefore_, device_)) return std::nullopt;
  const Tensor& like = x ? x : before;
  std::optional<StreamOp> made(op_);
  StreamOp& op = *made;
  op.x = x;
  op.before = before;
  auto operand = operands_.begin();
  for (StreamStep& step : op.steps) {
    if (step.kind != StreamStep::Kind::kConv) continue;
    for (Tensor* tensor : operandsOf(step.conv)) {
      if (operand->present) {
        tensor->storage = operand->storage.lock();
        if (!tensor->storage || tensor->storage->failure()) return std::nullopt;
      }
      ++operand;
    }
  }
  for (Tensor& slot : op.memory) {
    if (slot.shape.rank() > 0) slot = makeLike(like, slot.shape, slot.dtype);
  }
  if (hasY_) op.y = makeLike(like, op.y.shape, op.y.dtype);
  if (op.kept > 0) op.after = makeLike(like, op.after.shape, op.after.dtype);
  for (StreamStep& step : op.steps) {
    eachValue(step, [&](Tensor& tensor, int64_t slot) {
      tensor.storage = slot < 0 ? op.y.storage : op.memory[static_cast<size_t>(slot)].storage;
    });
  }
  return made;
}

uint64_t StreamTemplate::bytes() const {
  return sizeof(*this) + op_.steps.size() * sizeof(StreamStep) + operands_.size() * sizeof(Operand);
}

}  // namespace weightnorm::core
