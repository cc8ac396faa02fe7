#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "core/storage.h"

// Plain descriptions of the operations. A description is complete and valid when it reaches a backend:
// core/check.h validated shapes, dtypes and ranges and made the outputs. Each lists its tensors through
// visit(in, out), so the queue can follow failures without knowing the operation.
// All tensors of one description live on one device. Formulas: float32 arithmetic unless said otherwise.
namespace weightnorm::core {

using HostBytes = std::shared_ptr<const std::byte[]>;

// Memory for so many bytes that the caller fills, all of them. Throws std::bad_alloc.
inline std::shared_ptr<std::byte[]> hostBytes(uint64_t size) {
  return std::shared_ptr<std::byte[]>(new std::byte[size]);
}

// w = v · (g / n), n = ‖v‖ over the axes of `reduce` (bit i = axis i); g and n keep those axes as 1.
// eps unset: a zero row gives 0; eps > 0: n = max(‖v‖, eps); eps = 0: a zero row gives NaN.
// g may be float32 beside a half v. w has v's shape and dtype.
struct WeightNormOp {
  Tensor v, g, w;
  uint32_t reduce = 0;
  std::optional<double> eps;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(v), in(g), out(w);
  }
};

// S = Σ(gradW·v); gradG = S/n; gradV = (g/n)(gradW − (v/n)(S/n)). gradG has g's shape and dtype.
struct WeightNormBackwardOp {
  Tensor gradW, v, g, gradV, gradG;
  uint32_t reduce = 0;
  std::optional<double> eps;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(gradW), in(v), in(g), out(gradV), out(gradG);
  }
};

// n = ‖v‖, float32, reduced axes kept as 1.
struct NormOp {
  Tensor v, n;
  uint32_t reduce = 0;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(v), out(n);
  }
};

// Norm scales of many layers in one operation: s = g / n, float32, unrounded, one value a kept index.
struct ScaleOp {
  struct Segment {
    Tensor v, g, scale;
    uint32_t reduce = 0;
    std::optional<double> eps;
  };
  std::vector<Segment> segments;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    for (const Segment& s : segments) in(s.v), in(s.g), out(s.scale);
  }
};

enum class Act : uint8_t { kNone, kLeakyRelu, kRelu, kElu, kGelu, kSilu, kSigmoid, kTanh, kSnake, kExp, kSin, kPow };

// An activation fused into a neighbour. `param`: slope (leaky ReLU), alpha (ELU), exponent (pow).
// Snake: x + sin²(αx)/(α + 1e-9), α per channel from `alpha` ([C] elements), or exp(alpha) when logScale.
struct Activation {
  Act kind = Act::kNone;
  float param = 0;
  bool logScale = false;
  Tensor alpha;
};

// Where rows of [N, C, L] lie in their storage: row r of the N · C begins at element r · pitch + start. Pitch 0: one behind the other.
struct Rows {
  int64_t pitch = 0, start = 0;
};

enum class PadMode : uint8_t { kZeros, kReflect, kReplicate, kCircular };

// Convolution over [N, C, H, W] (1-D: H = 1; the tensors keep their rank 3 and index 0 of each pair is unused).
//   y = post( outScale · (s · conv(pre(x), weight) + bias + residual + running) )
// weight [O, C/groups, kH, kW], or transposed [C, O/groups, kH, kW]. `scale`, float32: absent, one element, or one
// per output channel; for a transposed convolution with scalePerInput one per input channel, applied after pre().
// Pairs are {height, width}. padding counts each side; a transposed convolution reads only `padBegin`/`padEnd` as crop.
// Rows other than contiguous ones belong to streams (core/stream_op.h): one dimension only, and y exists before.
// Convolution accumulates in float32. direct: the order of operations of an output element depends only on the layer.
struct ConvOp {
  Tensor x, weight, bias, scale, residual, running, y;
  bool transposed = false, scalePerInput = false, direct = false;
  std::array<int64_t, 2> stride{1, 1}, dilation{1, 1}, padBegin{0, 0}, padEnd{0, 0}, outputPadding{0, 0};
  int64_t groups = 1;
  PadMode padMode = PadMode::kZeros;
  Activation pre, post;
  float outScale = 1;
  Rows xRows, residualRows, runningRows, yRows;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), in(weight), in(bias), in(scale), in(residual), in(running), in(pre.alpha), in(post.alpha), out(y);
  }
};

// y = post( s · (x weightᵀ) + bias ); x [..., I], weight [O, I], y [..., O]; scale float32 with 1 or O elements.
// direct: the order of operations of an output element depends only on the layer.
struct LinearOp {
  Tensor x, weight, bias, scale, y;
  bool direct = false;
  Activation post;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), in(weight), in(bias), in(scale), in(post.alpha), out(y);
  }
};

// y[b] = a[b] · b[b]; a [..., M, K], b [..., K, N], leading axes broadcast against y's.
struct MatmulOp {
  Tensor a, b, y;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(a), in(b), out(y);
  }
};

// y = activation(x), elementwise. For snake, channels are axis 1 (axis 0 of a rank 1 or 2 tensor).
struct ActivationOp {
  Tensor x, y;
  Activation activation;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), in(activation.alpha), out(y);
  }
};

enum class Arithmetic : uint8_t { kAdd, kSub, kMul, kDiv };

// y = a ∘ b with NumPy broadcasting; when b is absent the number `scalar` takes its place
// (on the left where `scalarFirst`: scalar ∘ a).
struct ArithmeticOp {
  Tensor a, b, y;
  Arithmetic kind = Arithmetic::kAdd;
  float scalar = 0;
  bool scalarFirst = false;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(a), in(b), out(y);
  }
};

// y = Σ x (or the mean) over the axes of `reduce`; float64 partials. y's rank may drop the reduced axes.
struct ReduceOp {
  Tensor x, y;
  uint32_t reduce = 0;
  bool mean = false;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = x with its axes permuted: y axis i is x axis permutation[i].
struct TransposeOp {
  Tensor x, y;
  std::array<int, kMaxRank> permutation{};
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = x padded on the last axis.
struct PadOp {
  Tensor x, y;
  int64_t left = 0, right = 0;
  PadMode mode = PadMode::kZeros;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = x[start : start + y.shape[axis]] along `axis`.
struct NarrowOp {
  Tensor x, y;
  int axis = 0;
  int64_t start = 0;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = the parts joined along `axis`.
struct ConcatOp {
  std::vector<Tensor> parts;
  Tensor y;
  int axis = 0;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    for (const Tensor& part : parts) in(part);
    out(y);
  }
};

// Nearest neighbour: every step of the last axis repeated `factor` times.
struct InterpolateOp {
  Tensor x, y;
  int64_t factor = 1;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = x in y's dtype, rounded to nearest even (a copy when the dtypes agree).
struct CastOp {
  Tensor x, y;
  template <class In, class Out>
  void visit(In&& in, Out&& out) const {
    in(x), out(y);
  }
};

// y = value everywhere, rounded to y's dtype.
struct FillOp {
  Tensor y;
  float value = 0;
  template <class In, class Out>
  void visit(In&&, Out&& out) const {
    out(y);
  }
};

// y = bytes copied at the call, already in y's dtype: y.bytes() of them.
struct UploadOp {
  Tensor y;
  HostBytes data;
  template <class In, class Out>
  void visit(In&&, Out&& out) const {
    out(y);
  }
};

}  // namespace weightnorm::core
