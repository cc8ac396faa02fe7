#include "cpu/stream.h"

#include "cpu/conv.h"
#include "cpu/copy.h"
#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

// Where [N, channels, steps] begins in a tensor, in elements, and how far apart its streams and its channels are.
struct Place {
  std::byte* data;
  int64_t at, perStream, perChannel;
};

class StreamRun {
 public:
  StreamRun(const core::StreamOp& op, Pool& pool)
      : op_(op),
        pool_(pool),
        like_(op.x ? op.x : op.before),
        batch_(like_.shape[0]),
        element_(static_cast<int64_t>(core::sizeOf(like_.dtype))) {}

  void operator()() const {
    for (const core::StreamStep& step : op_.steps) run(step);
  }

 private:
  void run(const core::StreamStep& step) const {
    using Kind = core::StreamStep::Kind;
    const int64_t steps = step.head + step.fresh, channels = step.channels;
    std::byte* const data = dataOf<std::byte>(step.value);
    const auto value = [&](int64_t from) { return Place{data, from, channels * steps, steps}; };
    if (step.head > 0) copy(stateOf(op_.before, step.headAt, step.head), value(0), channels, step.head);
    if (step.kind == Kind::kInput)
      copy({dataOf<std::byte>(op_.x), 0, channels * step.fresh, step.fresh}, value(step.head), channels, step.fresh);
    if (step.kind == Kind::kCopy) {
      const core::Rows& rows = step.conv.xRows;
      copy({dataOf<std::byte>(step.conv.x), rows.start, channels * rows.pitch, rows.pitch}, value(step.head), channels, step.fresh);
    }
    if (step.kind == Kind::kConv) conv(step.conv, pool_);
    if (step.keep > 0) copy(value(steps - step.keep), stateOf(op_.after, step.keepAt, step.keep), channels, step.keep);
  }

  Place stateOf(const core::Tensor& state, int64_t at, int64_t steps) const {
    return {dataOf<std::byte>(state), at, state.size() / batch_, steps};
  }

  void copy(const Place& from, const Place& to, int64_t channels, int64_t steps) const {
    for (int64_t n = 0; n < batch_; ++n) {
      copyRows(pool_, to.data + (to.at + n * to.perStream) * element_, to.perChannel * element_,
               from.data + (from.at + n * from.perStream) * element_, from.perChannel * element_, channels, steps * element_);
    }
  }

  const core::StreamOp& op_;
  Pool& pool_;
  const core::Tensor& like_;
  const int64_t batch_, element_;
};

}  // namespace

void stream(const core::StreamOp& op, Pool& pool) {
  StreamRun(op, pool)();
}

}  // namespace weightnorm::cpu
