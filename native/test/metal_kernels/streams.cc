#include <algorithm>
#include <cmath>

#include "core/stream_op.h"
#include "harness.h"
#include "metal/overrides.h"

// Pushes of a stream, value by value, against the same steps in float64: heads, copies, convolutions of parts of values, what is kept.
namespace testing {

namespace {

using core::StreamOp;
using core::StreamStep;
using Kind = StreamStep::Kind;

constexpr int64_t kBatch = 2, kInputs = 12, kInner = 40, kOutputs = 16, kHeld = 5;
constexpr int64_t kHeads[] = {4, 2, 3, 1, 7};
constexpr int64_t kChannels[] = {kInputs, kInner, kInner, kInner, kHeld};

struct Weights {
  Tensor wide, wideBias, depthwise, transposed;
};

int64_t keptAt(size_t value) {
  int64_t at = 0;
  for (size_t i = 0; i < value; ++i) at += kChannels[i] * kHeads[i];
  return at;
}

StreamStep step(Kind kind, int64_t slot, size_t value, int64_t fresh) {
  StreamStep s;
  s.kind = kind;
  s.slot = slot;
  s.channels = kChannels[value];
  s.fresh = fresh;
  s.head = s.keep = kHeads[value];
  s.headAt = s.keepAt = keptAt(value);
  return s;
}

// Input, a dilated convolution on matrix tiles, a depthwise one with residual and running, a copy that delays, a transposed convolution
// as the output, and a value that is only held.
StreamOp push(const Weights& weights, const Tensor& before, const Tensor& x, int64_t fresh) {
  StreamOp op;
  op.x = x;
  op.before = before;
  op.kept = keptAt(5);
  op.slots = 4;
  op.steps.push_back(step(Kind::kInput, 0, 0, fresh));

  StreamStep wide = step(Kind::kConv, 1, 1, fresh);
  wide.x = {0, 0, fresh + 4};
  wide.conv.weight = weights.wide;
  wide.conv.bias = weights.wideBias;
  wide.conv.dilation = {1, 2};
  wide.conv.pre = {core::Act::kLeakyRelu, 0.1f, false, {}};
  op.steps.push_back(wide);

  StreamStep depthwise = step(Kind::kConv, 2, 2, fresh);
  depthwise.x = {1, 0, fresh + 2};
  depthwise.residual = {1, 2, fresh};
  depthwise.running = {1, 1, fresh};
  depthwise.conv.weight = weights.depthwise;
  depthwise.conv.groups = kInner;
  op.steps.push_back(depthwise);

  StreamStep copy = step(Kind::kCopy, 0, 3, fresh);
  copy.x = {2, 1, fresh};
  op.steps.push_back(copy);

  StreamStep output;
  output.kind = Kind::kConv;
  output.channels = kOutputs;
  output.fresh = 2 * fresh;
  output.x = {0, 0, fresh + 1};
  output.conv.weight = weights.transposed;
  output.conv.transposed = true;
  output.conv.stride = {1, 2};
  output.conv.padBegin = output.conv.padEnd = {0, 2};
  op.steps.push_back(output);

  op.steps.push_back(step(Kind::kHold, 3, 4, 0));
  return op;
}

// A value [N, channels, steps].
struct Value {
  int64_t channels = 0, steps = 0;
  std::vector<double> data;
  double& at(int64_t n, int64_t c, int64_t t) { return data[static_cast<size_t>((n * channels + c) * steps + t)]; }
};

double convolved(const core::ConvOp& op, Value& x, const std::vector<double>& w, int64_t from, int64_t steps, int64_t n, int64_t o,
                 int64_t t) {
  const int64_t taps = op.weight.shape[2], outputs = op.transposed ? op.weight.shape[1] : op.weight.shape[0];
  const int64_t inGroup = x.channels / op.groups, outGroup = outputs / op.groups;
  double sum = 0;
  for (int64_t c = 0; c < inGroup; ++c) {
    for (int64_t k = 0; k < taps; ++k) {
      const int64_t row = op.transposed ? c * outputs + o : o * inGroup + c;
      const int64_t reach = op.transposed ? t + op.padBegin[1] - k : t + k * op.dilation[1];
      if (op.transposed && (reach < 0 || reach % op.stride[1] != 0)) continue;
      const int64_t i = op.transposed ? reach / op.stride[1] : reach;
      if (i >= steps) continue;
      const double value = x.at(n, o / outGroup * inGroup + c, from + i);
      const bool leaks = op.pre.kind == core::Act::kLeakyRelu && value < 0;
      sum += w[static_cast<size_t>(row * taps + k)] * (leaks ? value * op.pre.param : value);
    }
  }
  return sum;
}

// What op gives: y, and the state after.
std::pair<std::vector<double>, std::vector<double>> reference(const StreamOp& op, DType dtype) {
  const auto values = [](const Tensor& t) { return t ? read(t) : std::vector<double>(); };
  std::vector<double> x = values(op.x), before = values(op.before), after(static_cast<size_t>(kBatch * op.kept), -1);
  std::vector<Value> slots(static_cast<size_t>(op.slots) + 1);
  for (const StreamStep& s : op.steps) {
    Value value{s.channels, s.head + s.fresh, {}};
    value.data.resize(static_cast<size_t>(kBatch * value.channels * value.steps));
    const auto slot = [&](const StreamStep::Read& r) -> Value& { return slots[static_cast<size_t>(r.slot)]; };
    const std::vector<double> w = values(s.conv.weight), bias = values(s.conv.bias);
    for (int64_t n = 0; n < kBatch; ++n) {
      for (int64_t c = 0; c < s.channels; ++c) {
        for (int64_t t = 0; t < s.head; ++t) value.at(n, c, t) = before[static_cast<size_t>(n * op.kept + s.headAt + c * s.head + t)];
        for (int64_t t = 0; t < s.fresh; ++t) {
          double y = 0;
          if (s.kind == Kind::kInput) y = x[static_cast<size_t>((n * s.channels + c) * s.fresh + t)];
          if (s.kind == Kind::kCopy) y = slot(s.x).at(n, c, s.x.start + t);
          if (s.kind == Kind::kConv) {
            y = convolved(s.conv, slot(s.x), w, s.x.start, s.x.steps, n, c, t);
            if (!bias.empty()) y += bias[static_cast<size_t>(c)];
            if (s.residual.slot >= 0) y += slot(s.residual).at(n, c, s.residual.start + t);
            if (s.running.slot >= 0) y += slot(s.running).at(n, c, s.running.start + t);
            y = roundTo(static_cast<float>(y), dtype);
          }
          value.at(n, c, s.head + t) = y;
        }
        for (int64_t t = 0; t < s.keep; ++t)
          after[static_cast<size_t>(n * op.kept + s.keepAt + c * s.keep + t)] = value.at(n, c, value.steps - s.keep + t);
      }
    }
    slots[s.slot < 0 ? slots.size() - 1 : static_cast<size_t>(s.slot)] = value;
  }
  return {slots.back().data, after};
}

void stream(DType dtype, const char* path) {
  Random random(17);
  const Weights weights{make({kInner, kInputs, 3}, dtype, normal(random, 0.2)), make({kInner}, dtype, normal(random)),
                        make({kInner, 1, 3}, dtype, normal(random, 0.4)), make({kInner, kOutputs, 4}, dtype, normal(random, 0.1))};
  Tensor state = make({kBatch, keptAt(5)}, dtype, normal(random));
  for (const int64_t fresh : {1, 6, 75, 2}) {
    const Tensor x = make({kBatch, kInputs, fresh}, dtype, normal(random));
    StreamOp op = push(weights, state, x, fresh);
    core::prepare(op);
    backend().run(op);
    const auto [y, after] = reference(op, dtype);
    const double allowed = 1e-5 + (dtype == DType::kFloat32 ? 0 : 2 * ulp(1, dtype));
    const double errorY = relativeError(read(op.y), y), errorState = relativeError(read(op.after), after);
    const std::string what = std::string("push of ") + std::to_string(fresh) + ", " + core::name(dtype) + path;
    check(errorY <= allowed, what + ": y is off by " + std::to_string(errorY));
    check(errorState <= allowed, what + ": state is off by " + std::to_string(errorState));
    state = op.after;
  }
}

// Nothing new and nothing kept: a value that only passes its head on.
void nothingKept() {
  Random random(19);
  const Tensor x = make({kBatch, kInputs, 9}, DType::kFloat32, normal(random));
  StreamOp op;
  op.x = x;
  op.slots = 1;
  StreamStep input;
  input.kind = Kind::kInput;
  input.slot = 0;
  input.channels = kInputs;
  input.fresh = 9;
  StreamStep copy;
  copy.kind = Kind::kCopy;
  copy.channels = kInputs;
  copy.fresh = 4;
  copy.x = {0, 3, 4};
  op.steps = {input, copy};
  core::prepare(op);
  backend().run(op);
  const std::vector<double> got = read(op.y), all = read(x);
  bool same = !op.after;
  for (size_t i = 0; i < got.size(); ++i) same = same && got[i] == all[i / 4 * 9 + 3 + i % 4];
  check(same, "a push that keeps nothing copies a part of its input");
}

}  // namespace

void testStreams() {
  for (const DType dtype : kDTypes) stream(dtype, "");
  const metal::Overrides before = metal::overrides();
  metal::overrides().wideIndices = true;
  stream(DType::kFloat32, ", 64-bit");
  metal::overrides().wideIndices = false;
  metal::overrides().maxGridThreads = 40;
  stream(DType::kFloat32, ", small grid");
  metal::overrides() = before;
  nothingKept();
}

}  // namespace testing
