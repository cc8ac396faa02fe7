#include <algorithm>

#include "core/backend.h"
#include "core/prepare.h"

namespace weightnorm::core {

namespace {

using Long = long long;

[[noreturn]] void refuse(size_t step, const char* what) {
  throw Error(Code::kArgument, format("step %zu of a stream: %s", step, what));
}

// What the steps so far have put into the slots, and the largest of each.
class Slots {
 public:
  explicit Slots(int64_t count) : values_(static_cast<size_t>(count)), floats_(static_cast<size_t>(count)) {}

  // The part of a value that a step reads, as [N, channels, steps]; its storage comes later.
  const StreamStep* of(const StreamStep::Read& read, size_t step) const {
    if (read.slot < 0 || static_cast<size_t>(read.slot) >= values_.size() || !values_[static_cast<size_t>(read.slot)]) {
      refuse(step, "it reads a slot that holds nothing");
    }
    const StreamStep& value = *values_[static_cast<size_t>(read.slot)];
    if (read.start < 0 || read.steps < 1 || read.start > value.head + value.fresh - read.steps) refuse(step, "it reads beyond a value");
    return &value;
  }

  void put(const StreamStep& value, size_t step) {
    if (static_cast<size_t>(value.slot) >= values_.size()) refuse(step, "there is no such slot");
    values_[static_cast<size_t>(value.slot)] = &value;
    int64_t& floats = floats_[static_cast<size_t>(value.slot)];
    floats = std::max(floats, value.channels * (value.head + value.fresh));
  }

  int64_t floats(size_t slot) const { return floats_[slot]; }

 private:
  std::vector<const StreamStep*> values_;
  std::vector<int64_t> floats_;
};

// Part of `row` elements that [channels, steps] take from `at` on.
bool within(int64_t at, int64_t channels, int64_t steps, int64_t row) {
  return at <= row && channels * steps <= row - at;
}

Tensor window(const StreamOp& op, const StreamStep::Read& read, const StreamStep& value, const Tensor& like, int64_t batch) {
  return {Shape{batch, value.channels, read.steps}, like.dtype, op.memory[static_cast<size_t>(read.slot)].storage};
}

}  // namespace

void prepare(StreamOp& op) {
  constexpr int64_t kMost = int64_t{1} << 40;
  const Tensor& like = op.x ? op.x : op.before;
  if (!like) throw Error(Code::kArgument, "a stream needs x or what it kept");
  const int64_t batch = like.shape[0];
  if (op.x && op.before) {
    requireSameDevice("x", op.x, "the stream's state", op.before);
    requireSameDType("the stream", op.before, "x", op.x);
    if (op.before.shape[0] != batch) {
      throw Error(Code::kShape, format("x has shape %s; the stream began with %lld rows", op.x.shape.str().c_str(),
                                       static_cast<Long>(op.before.shape[0])));
    }
  }
  if (op.x && op.x.shape.rank() != 3) throw Error(Code::kShape, format("x has shape %s; it must be [N, C, L]", op.x.shape.str().c_str()));
  if (op.slots < 0 || op.slots > static_cast<int64_t>(op.steps.size())) throw Error(Code::kArgument, "a stream has at most a slot a step");
  const int64_t had = op.before ? op.before.size() / batch : 0;

  // First the sizes, then the memory, then what reads it.
  Slots slots(op.slots);
  for (size_t i = 0; i < op.steps.size(); ++i) {
    const StreamStep& step = op.steps[i];
    if (step.channels < 1 || step.channels > kMost || step.fresh < 0 || step.head < 0 || step.head + step.fresh < 1 ||
        step.head + step.fresh > kMost / step.channels) {
      refuse(i, "its value has no size");
    }
    if (step.keep > step.head + step.fresh || !within(step.headAt, step.channels, step.head, had) ||
        !within(step.keepAt, step.channels, step.keep, op.kept)) {
      refuse(i, "it keeps what there is not");
    }
    if (step.slot < 0 && (step.head > 0 || step.keep > 0 || step.kind == StreamStep::Kind::kHold)) refuse(i, "an output keeps nothing");
    for (const StreamStep::Read* read : {&step.x, &step.residual, &step.running}) {
      const bool wanted = step.kind == StreamStep::Kind::kConv || (step.kind == StreamStep::Kind::kCopy && read == &step.x);
      if (!wanted || (read->slot < 0 && read != &step.x)) continue;
      const StreamStep* value = slots.of(*read, i);
      if (read->slot == step.slot) refuse(i, "it reads the slot that it writes");
      if (step.kind == StreamStep::Kind::kCopy && (value->channels != step.channels || read->steps != step.fresh)) {
        refuse(i, "it copies another size");
      }
    }
    if (step.kind == StreamStep::Kind::kInput && (!op.x || op.x.shape[1] != step.channels || op.x.shape[2] != step.fresh)) {
      throw Error(Code::kShape, format("x has shape %s; the stream takes [N, %lld, %lld] here", op.x ? op.x.shape.str().c_str() : "nothing",
                                       static_cast<Long>(step.channels), static_cast<Long>(step.fresh)));
    }
    if (step.kind == StreamStep::Kind::kHold && step.fresh > 0) refuse(i, "what is held does not grow");
    if (step.slot >= 0) slots.put(step, i);
  }
  for (int64_t slot = 0; slot < op.slots; ++slot) {
    const int64_t floats = slots.floats(static_cast<size_t>(slot));
    op.memory.push_back(floats > 0 ? makeLike(like, Shape{batch, floats}, like.dtype) : Tensor{});
  }

  Slots now(op.slots);
  const auto read = [&](const StreamStep::Read& part, size_t i, Tensor& tensor, Rows& rows) {
    if (part.slot < 0) return;
    const StreamStep& value = *now.of(part, i);
    tensor = window(op, part, value, like, batch);
    rows = {value.head + value.fresh, part.start};
  };
  for (size_t i = 0; i < op.steps.size(); ++i) {
    StreamStep& step = op.steps[i];
    const Shape fresh = step.fresh > 0 ? Shape{batch, step.channels, step.fresh} : Shape{};
    if (step.slot < 0) {
      if (op.y) refuse(i, "there is one output");
      op.y = step.value = makeLike(like, fresh, like.dtype);
    } else {
      step.value = {Shape{batch, step.channels, step.head + step.fresh}, like.dtype, op.memory[static_cast<size_t>(step.slot)].storage};
    }
    if (step.kind == StreamStep::Kind::kCopy || step.kind == StreamStep::Kind::kConv) read(step.x, i, step.conv.x, step.conv.xRows);
    if (step.kind == StreamStep::Kind::kConv) {
      ConvOp& conv = step.conv;
      read(step.residual, i, conv.residual, conv.residualRows);
      read(step.running, i, conv.running, conv.runningRows);
      const Shape out = checkConv(conv);
      if (!(out == fresh)) {
        throw Error(Code::kShape, format("step %zu of a stream gives %s, not %s: a weight took another shape", i, out.str().c_str(),
                                         fresh.str().c_str()));
      }
      conv.y = {fresh, like.dtype, step.value.storage};
      conv.yRows = step.rows();
    }
    if (step.slot >= 0) now.put(step, i);
  }
  if (op.kept > 0) op.after = makeLike(like, Shape{batch, op.kept}, like.dtype);
}

}  // namespace weightnorm::core
