#pragma once

#include <cstring>
#include <functional>

#include "input.h"

// Operations of every kind with operands, shapes and options that come from the fuzzer, valid or not. One thread.
namespace fuzz {

// Where operands live: two devices, so that mixing them is tried too. `fill` gives an operand its values.
struct Place {
  std::shared_ptr<core::Device> device, other;
  std::function<void(const Tensor&, Input&)> fill;
};

// Multiples of 1/4 from -1 to 1 in a tensor's dtype, exact in each; they differ with the fuzzer's next byte.
inline std::vector<std::byte> numbers(const Tensor& t, Input& input) {
  std::vector<std::byte> bytes(t.bytes());
  auto state = static_cast<uint32_t>(input.within(1, 255));
  for (size_t i = 0; i < static_cast<size_t>(t.size()); ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = static_cast<float>(static_cast<int>(state >> 24) % 9 - 4) * 0.25f;
    const uint16_t half = t.dtype == DType::kFloat16 ? core::floatToHalf(value) : core::floatToBFloat(value);
    if (t.dtype == DType::kFloat32) {
      std::memcpy(&bytes[4 * i], &value, 4);
    } else {
      std::memcpy(&bytes[2 * i], &half, 2);
    }
  }
  return bytes;
}

// Makes one operation, prepares it and, if it was accepted, hands it to `run(op, inputs, outputs)`. A core::Error is the
// only way in which bad input may be refused; false then.
class OperationMaker {
 public:
  using Tensors = std::vector<Tensor>;
  OperationMaker(Input& input, const Place& place, bool small) : in_(input), place_(place), small_(small) {}

  // Only convolutions; what `run` throws is the caller's.
  template <class Run>
  void makeConv(const Run& run) {
    core::ConvOp op;
    try {
      op = conv();
      core::prepare(op);
    } catch (const core::Error&) {
      return;
    }
    done(op, run);
  }

  template <class Run>
  bool make(const Run& run) {
    try {
      switch (in_.within(0, 15)) {
        case 0: {
          core::WeightNormOp op;
          normed(op.v, op.g, op.reduce);
          op.eps = in_.eps();
          core::prepare(op);
          return done(op, run);
        }
        case 1: {
          core::WeightNormBackwardOp op;
          normed(op.v, op.g, op.reduce);
          op.gradW = in_.within(0, 9) ? like(op.v) : any();
          op.eps = in_.eps();
          core::prepare(op);
          return done(op, run);
        }
        case 2: {
          core::NormOp op;
          op.v = any();
          op.reduce = mask(op.v);
          core::prepare(op);
          return done(op, run);
        }
        case 3: {
          core::ScaleOp op;
          for (int64_t count = in_.within(1, 4); count > 0; --count) {
            core::ScaleOp::Segment segment;
            normed(segment.v, segment.g, segment.reduce);
            segment.eps = in_.eps();
            op.segments.push_back(std::move(segment));
          }
          core::prepare(op);
          return done(op, run);
        }
        case 4:
        case 5: {
          core::ConvOp op = conv();
          core::prepare(op);
          return done(op, run);
        }
        case 6: {
          core::LinearOp op;
          op.weight = tensor(in_.shape(small_, 2, in_.within(0, 9) ? 2 : 3));
          op.x = tensor(lastAxis(in_.shape(small_, 0, 4), op.weight.shape[1]));
          op.bias = vector(op.weight.shape[0]);
          op.scale = scale(op.weight.shape[0]);
          op.post = activation(op.weight.shape[0]);
          core::prepare(op);
          return done(op, run);
        }
        case 7: {
          core::MatmulOp op;
          op.a = tensor(in_.shape(small_, 0, 4));
          const Shape b = in_.shape(small_, 0, 4);
          op.b = tensor(b.rank() > 1 && op.a.shape.rank() > 0 && in_.within(0, 9) ? b.with(b.rank() - 2, op.a.shape[op.a.shape.rank() - 1])
                                                                                  : b);
          core::prepare(op);
          return done(op, run);
        }
        case 8: {
          core::ActivationOp op;
          op.x = any();
          const int rank = op.x.shape.rank();
          op.activation = activation(rank == 0 ? 1 : op.x.shape[rank >= 3 ? 1 : 0]);
          core::prepare(op);
          return done(op, run);
        }
        case 9: {
          core::ArithmeticOp op;
          op.kind = static_cast<core::Arithmetic>(in_.within(0, 3));
          op.a = any();
          if (in_.flag()) op.b = in_.flag() ? broadcastable(op.a) : any();
          op.scalar = 1.5f;
          op.scalarFirst = !op.b && in_.flag();
          core::prepare(op);
          return done(op, run);
        }
        case 10: {
          core::ReduceOp op;
          op.x = any();
          op.reduce = mask(op.x);
          op.mean = in_.flag();
          core::prepare(op, in_.flag());
          return done(op, run);
        }
        case 11: {
          core::TransposeOp op;
          op.x = any();
          std::array<int, core::kMaxRank> order{};
          for (int i = 0; i < op.x.shape.rank(); ++i) {
            const int at = static_cast<int>(in_.within(0, i));
            order[static_cast<size_t>(i)] = order[static_cast<size_t>(at)];
            order[static_cast<size_t>(at)] = i;
          }
          op.permutation = order;
          if (in_.within(0, 9) == 0) op.permutation[static_cast<size_t>(in_.within(0, 7))] = static_cast<int>(in_.number());
          core::prepare(op);
          return done(op, run);
        }
        case 12: {
          core::PadOp op;
          op.x = any();
          op.left = width();
          op.right = width();
          op.mode = padMode();
          core::prepare(op);
          return done(op, run);
        }
        case 13: {
          core::NarrowOp op;
          op.x = any();
          op.axis = axis(op.x);
          op.start = in_.number();
          core::prepare(op, in_.number());
          return done(op, run);
        }
        case 14: {
          core::ConcatOp op;
          const Tensor first = any();
          op.axis = axis(first);
          op.parts.push_back(first);
          for (int64_t count = in_.within(0, 3); count > 0; --count) {
            if (in_.within(0, 9) == 0) {
              op.parts.push_back(any());
            } else {
              Shape shape = first.shape;
              if (op.axis >= 0 && op.axis < shape.rank()) shape = shape.with(op.axis, in_.dim(small_));
              op.parts.push_back(operand(shape, first.dtype));
            }
          }
          core::prepare(op);
          return done(op, run);
        }
        default: {
          if (in_.flag()) {
            core::InterpolateOp op;
            op.x = any();
            op.factor = small_ ? in_.within(-1, 9) : in_.number();
            core::prepare(op);
            return done(op, run);
          }
          core::CastOp op;
          op.x = any();
          core::prepare(op, in_.dtype());
          return done(op, run);
        }
      }
    } catch (const core::Error& error) {
      require(*error.what() != '\0', "an error says something");
      return false;
    }
  }

 private:
  template <class Op, class Run>
  bool done(Op& op, const Run& run) {
    Tensors inputs, outputs;
    op.visit(
        [&](const Tensor& t) {
          if (t) inputs.push_back(t);
        },
        [&](const Tensor& t) { outputs.push_back(t); });
    for (const Tensor& y : outputs) {
      require(y.storage && y.size() >= 1 && y.storage->bytes() == y.bytes(), "an output has a storage of its size");
      require(&y.storage->device() == &inputs.front().storage->device(), "an output lives where its input does");
    }
    run(op, inputs, outputs);
    return true;
  }

  Tensor operand(const Shape& shape, DType dtype) {
    const bool elsewhere = place_.other && in_.within(0, 63) == 0;
    const Tensor t = core::makeTensor(elsewhere ? place_.other : place_.device, shape, dtype);
    place_.fill(t, in_);
    return t;
  }
  // Of the operation's one dtype, now and then of another.
  Tensor tensor(const Shape& shape) {
    if (!dtype_) dtype_ = in_.dtype();
    return operand(shape, in_.within(0, 31) ? *dtype_ : in_.dtype());
  }
  Tensor any() { return tensor(in_.shape(small_, in_.within(0, 9) ? 1 : 0, small_ ? 5 : core::kMaxRank)); }
  Tensor like(const Tensor& t) { return operand(t.shape, t.dtype); }
  Tensor broadcastable(const Tensor& t) {
    Shape shape = t.shape;
    for (int i = 0; i < shape.rank(); ++i) {
      if (in_.flag()) shape = shape.with(i, 1);
    }
    const int drop = static_cast<int>(in_.within(0, shape.rank()));
    return operand(Shape(shape.begin() + drop, shape.rank() - drop), t.dtype);
  }
  static Shape lastAxis(const Shape& shape, int64_t size) { return shape.rank() == 0 ? shape : shape.with(shape.rank() - 1, size); }

  void normed(Tensor& v, Tensor& g, uint32_t& reduce) {
    v = any();
    reduce = mask(v);
    const Shape kept = in_.within(0, 19) ? v.shape.reduced(reduce) : in_.shape(small_, 0, 4);
    g = operand(kept, in_.flag() ? v.dtype : DType::kFloat32);
  }
  uint32_t mask(const Tensor& t) {
    if (in_.within(0, 31) == 0) return static_cast<uint32_t>(in_.number());
    return static_cast<uint32_t>(in_.within(0, (1 << t.shape.rank()) - 1));
  }
  int axis(const Tensor& t) {
    return in_.within(0, 15) == 0 ? static_cast<int>(in_.number()) : static_cast<int>(in_.within(0, std::max(0, t.shape.rank() - 1)));
  }
  int64_t width() { return small_ ? in_.within(-1, 9) : in_.number(); }
  core::PadMode padMode() { return static_cast<core::PadMode>(in_.within(0, 3)); }

  Tensor vector(int64_t length) {
    if (in_.flag()) return {};
    return tensor(in_.within(0, 15) ? Shape{length} : in_.shape(small_, 0, 3));
  }
  Tensor scale(int64_t length) {
    if (in_.flag()) return {};
    return operand(Shape{in_.flag() ? length : 1}, in_.within(0, 15) ? DType::kFloat32 : in_.dtype());
  }
  core::Activation activation(int64_t channels) {
    core::Activation act;
    act.kind = static_cast<core::Act>(in_.within(0, static_cast<int64_t>(core::Act::kPow)));
    act.param = act.kind == core::Act::kPow ? 2.0f : 0.25f;
    act.logScale = in_.flag();
    if (act.kind == core::Act::kSnake && in_.within(0, 15)) act.alpha = tensor(in_.flag() ? Shape{channels} : Shape{1, channels, 1});
    return act;
  }

  core::ConvOp conv() {
    core::ConvOp op;
    const bool flat = in_.flag();
    op.transposed = in_.flag();
    op.groups = in_.within(0, 3) ? in_.within(1, 3) : in_.number();
    const int64_t perGroup = in_.dim(small_);
    // Fits the groups unless that is absurd.
    const auto grouped = [&](int64_t count) { return op.groups < 1 || op.groups > 8 || count > 1 << 20 ? count : count * op.groups; };
    const int64_t channels = grouped(perGroup), each = in_.dim(small_), outputs = op.transposed ? each : grouped(each);
    const auto spatial = [&](int64_t first, int64_t second) {
      std::vector<int64_t> dims{first, second};
      for (int i = flat ? 1 : 0; i < 2; ++i) dims.push_back(in_.dim(small_));
      return Shape(dims.data(), static_cast<int>(dims.size()));
    };
    op.x = tensor(in_.within(0, 31) ? spatial(in_.within(1, 2), channels) : in_.shape(small_, 0, 5));
    op.weight =
        tensor(in_.within(0, 31) ? (op.transposed ? spatial(channels, outputs) : spatial(outputs, perGroup)) : in_.shape(small_, 0, 5));
    const auto option = [&](int64_t least) { return small_ ? in_.within(least, 5) : in_.number(); };
    for (size_t d = flat ? 1 : 0; d < 2; ++d) {
      op.stride[d] = option(1);
      op.dilation[d] = option(1);
      op.padBegin[d] = option(0);
      op.padEnd[d] = option(0);
      if (op.transposed) op.outputPadding[d] = in_.flag() ? 0 : option(0);
    }
    op.padMode = op.transposed ? core::PadMode::kZeros : padMode();
    op.direct = in_.flag();
    const int64_t produced = op.transposed ? grouped(outputs) : outputs;
    op.bias = vector(produced);
    op.scalePerInput = op.transposed && in_.flag();
    op.scale = scale(op.scalePerInput ? channels : produced);
    op.pre = activation(channels);
    op.post = activation(produced);
    if (in_.within(0, 3) == 0) {
      // Of the output's shape, which an operation without them tells.
      core::ConvOp plain = op;
      core::prepare(plain);
      if (in_.flag()) op.residual = like(plain.y);
      if (in_.flag()) op.running = like(plain.y);
    }
    op.outScale = in_.flag() ? 1.0f : 0.5f;
    return op;
  }

  Input& in_;
  const Place& place_;
  const bool small_;
  std::optional<DType> dtype_;
};

}  // namespace fuzz
