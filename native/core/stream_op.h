#pragma once

#include "core/ops.h"

namespace weightnorm::core {

// One step of a push: a value [N, channels, head + fresh], whose first `head` time steps were kept by the push before.
struct StreamStep {
  enum class Kind : uint8_t {
    kHold,   // nothing new
    kInput,  // the op's x
    kCopy,   // part of another value
    kConv    // `conv` of parts of other values
  };
  // Time steps of the value in slot `slot`, from `start` on; slot −1: absent.
  struct Read {
    int64_t slot = -1, start = 0, steps = 0;
  };

  Kind kind = Kind::kHold;
  int64_t slot = -1;  // where the value goes; −1: it is the op's y, which has no head
  int64_t channels = 0, fresh = 0;
  int64_t head = 0, headAt = 0;  // what `before` holds of it, and where in a row
  int64_t keep = 0, keepAt = 0;  // what `after` takes of its end, and where to
  Read x, residual, running;
  ConvOp conv;  // completed by prepare(): windows of the slots

  // Set by prepare(): the value and its rows.
  Tensor value;
  Rows rows() const { return {head + fresh, head}; }
};

// One push of a streamed network of convolutions (lib/nn/streaming): everything between the new time steps and what they determine, in one
// operation. State [N, floats]: a row a stream, in it the end of each value as [channels, keep]. Values live in a few slots that steps
// reuse; a step never reads the slot it writes. Writes y where there is output and `after` where something is kept.
struct StreamOp {
  Tensor x, before;  // [N, C, L]; either may be absent
  Tensor y, after;
  int64_t kept = 0;   // elements of a row of `after`
  int64_t slots = 0;  // how many the steps name
  std::vector<StreamStep> steps;
  std::vector<Tensor> memory;  // of each slot

  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), in(before);
    for (const StreamStep& step : steps) {
      const ConvOp& c = step.conv;
      in(c.weight), in(c.bias), in(c.scale), in(c.pre.alpha), in(c.post.alpha);
    }
    for (const Tensor& slot : memory) {
      if (slot) out(slot);
    }
    if (y) out(y);
    if (after) out(after);
  }
};

}  // namespace weightnorm::core
