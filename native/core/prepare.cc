#include "core/prepare.h"

#include "core/backend.h"
#include "core/blocks.h"

namespace weightnorm::core {

Tensor makeTensor(const std::shared_ptr<Device>& device, const Shape& shape, DType dtype) {
  Tensor tensor{shape, dtype, nullptr};
  tensor.storage = std::allocate_shared<Storage>(BlockAllocator<Storage>(), device, tensor.bytes());
  return tensor;
}

Tensor makeLike(const Tensor& like, const Shape& shape, DType dtype) {
  return makeTensor(like.storage->device().shared_from_this(), shape, dtype);
}

void requireSameDevice(const char* aName, const Tensor& a, const char* bName, const Tensor& b) {
  if (!b || &a.storage->device() == &b.storage->device()) return;
  throw Error(Code::kDevice, format("%s is on %s but %s is on %s: move one with to(device)", bName, b.storage->device().info().type.c_str(),
                                    aName, a.storage->device().info().type.c_str()));
}

void requireSameDType(const char* aName, const Tensor& a, const char* bName, const Tensor& b) {
  if (!b || a.dtype == b.dtype) return;
  throw Error(Code::kDType, format("%s is %s but %s is %s: convert one with to(dtype)", bName, name(b.dtype), aName, name(a.dtype)));
}

namespace {

uint32_t allAxes(const Tensor& t) {
  return (1u << t.shape.rank()) - 1;
}

void requireNormed(const char* function, const Tensor& v, uint32_t reduce) {
  if (v.shape.rank() == 0) throw Error(Code::kShape, format("%s: v has rank 0; ranks 1 to %d are allowed", function, kMaxRank));
  if (reduce & ~allAxes(v)) throw Error(Code::kArgument, format("%s: an axis is outside v's rank %d", function, v.shape.rank()));
}

// g beside v: v's dtype or float32, shape of the kept axes with 1 elsewhere.
void requireG(const Tensor& v, const Tensor& g, uint32_t reduce) {
  requireSameDevice("v", v, "g", g);
  if (g.dtype != v.dtype && g.dtype != DType::kFloat32) {
    throw Error(Code::kDType, format("g is %s; beside a %s v it must be %s or float32", name(g.dtype), name(v.dtype), name(v.dtype)));
  }
  const Shape expected = v.shape.reduced(reduce);
  const bool scalarForAll = reduce == allAxes(v) && g.size() == 1 && g.shape.rank() == 0;
  if (!(g.shape == expected) && !scalarForAll) {
    throw Error(Code::kShape, format("g has shape %s; for v of shape %s it must be %s", g.shape.str().c_str(), v.shape.str().c_str(),
                                     expected.str().c_str()));
  }
}

void requireEps(const std::optional<double>& eps) {
  if (eps && !(*eps >= 0 && *eps <= 3.0e38))
    throw Error(Code::kArgument, format("eps is %g; it must be a finite number of at least 0", *eps));
}

}  // namespace

void prepare(WeightNormOp& op) {
  requireNormed("weightNorm", op.v, op.reduce);
  requireG(op.v, op.g, op.reduce);
  requireEps(op.eps);
  op.w = makeLike(op.v, op.v.shape, op.v.dtype);
}

void prepare(WeightNormBackwardOp& op) {
  requireNormed("weightNormBackward", op.v, op.reduce);
  requireG(op.v, op.g, op.reduce);
  requireEps(op.eps);
  requireSameDevice("v", op.v, "gradW", op.gradW);
  requireSameDType("v", op.v, "gradW", op.gradW);
  if (!(op.gradW.shape == op.v.shape)) {
    throw Error(Code::kShape, format("gradW has shape %s; it must be v's, %s", op.gradW.shape.str().c_str(), op.v.shape.str().c_str()));
  }
  op.gradV = makeLike(op.v, op.v.shape, op.v.dtype);
  op.gradG = makeLike(op.v, op.g.shape, op.g.dtype);
}

void prepare(NormOp& op) {
  requireNormed("norm", op.v, op.reduce);
  op.n = makeLike(op.v, op.v.shape.reduced(op.reduce), DType::kFloat32);
}

void prepare(ScaleOp& op) {
  for (ScaleOp::Segment& s : op.segments) {
    requireNormed("weightNorm", s.v, s.reduce);
    requireG(s.v, s.g, s.reduce);
    requireEps(s.eps);
    requireSameDevice("v", op.segments.front().v, "v", s.v);
    s.scale = makeLike(s.v, Shape{Nest(s.v.shape, s.reduce).kept}, DType::kFloat32);
  }
}

void checkActivation(const char* argument, const Activation& activation, const Tensor& x, int64_t channels) {
  const Tensor& alpha = activation.alpha;
  if (activation.kind != Act::kSnake) {
    // Kernels read an alpha that is there, and only snake's size is checked.
    if (alpha) throw Error(Code::kArgument, format("%s: only snake takes alpha", argument));
    return;
  }
  if (!alpha) throw Error(Code::kArgument, format("%s: snake needs alpha", argument));
  requireSameDevice("x", x, "alpha", alpha);
  if (alpha.dtype != x.dtype && alpha.dtype != DType::kFloat32) {
    throw Error(Code::kDType,
                format("alpha is %s; beside a %s x it must be %s or float32", name(alpha.dtype), name(x.dtype), name(x.dtype)));
  }
  const bool flat = alpha.shape.rank() == 1 && alpha.shape[0] == channels;
  const bool torchs = alpha.shape.rank() == 3 && alpha.shape[0] == 1 && alpha.shape[1] == channels && alpha.shape[2] == 1;
  if (!flat && !torchs) {
    throw Error(Code::kShape, format("alpha has shape %s; for %lld channels it must be [%lld] or [1, %lld, 1]", alpha.shape.str().c_str(),
                                     static_cast<long long>(channels), static_cast<long long>(channels), static_cast<long long>(channels)));
  }
}

void prepare(ActivationOp& op) {
  const int rank = op.x.shape.rank();
  if (op.activation.kind == Act::kSnake && rank == 0) throw Error(Code::kShape, "snake: x has rank 0; it needs a channel axis");
  checkActivation("snake", op.activation, op.x, rank == 0 ? 1 : op.x.shape[rank >= 3 ? 1 : 0]);
  op.y = makeLike(op.x, op.x.shape, op.x.dtype);
}

namespace {

// NumPy broadcasting of two shapes, ranks aligned at the end; `what` names the operation.
Shape broadcast(const char* what, const Shape& a, const Shape& b) {
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  std::array<int64_t, kMaxRank> dims{};
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1) {
      throw Error(Code::kShape, format("%s: shapes %s and %s do not broadcast", what, a.str().c_str(), b.str().c_str()));
    }
    dims[static_cast<size_t>(i)] = da == 1 ? db : da;
  }
  return Shape(dims.data(), rank);
}

const char* name(Arithmetic kind) {
  switch (kind) {
    case Arithmetic::kAdd:
      return "add";
    case Arithmetic::kSub:
      return "sub";
    case Arithmetic::kMul:
      return "mul";
    default:
      return "div";
  }
}

}  // namespace

void prepare(ArithmeticOp& op) {
  requireSameDevice("a", op.a, "b", op.b);
  requireSameDType("a", op.a, "b", op.b);
  op.y = makeLike(op.a, op.b ? broadcast(name(op.kind), op.a.shape, op.b.shape) : op.a.shape, op.a.dtype);
}

void prepare(MatmulOp& op) {
  requireSameDevice("a", op.a, "b", op.b);
  requireSameDType("a", op.a, "b", op.b);
  const Shape &a = op.a.shape, &b = op.b.shape;
  if (a.rank() < 2 || b.rank() < 2) {
    throw Error(Code::kShape,
                format("matmul: a has shape %s and b %s; both need rank 2 to %d", a.str().c_str(), b.str().c_str(), kMaxRank));
  }
  if (a[a.rank() - 1] != b[b.rank() - 2]) {
    throw Error(Code::kShape, format("matmul: a %s has %lld columns but b %s has %lld rows", a.str().c_str(),
                                     static_cast<long long>(a[a.rank() - 1]), b.str().c_str(), static_cast<long long>(b[b.rank() - 2])));
  }
  const Shape lead = broadcast("matmul", Shape(a.begin(), a.rank() - 2), Shape(b.begin(), b.rank() - 2));
  std::array<int64_t, kMaxRank> dims{};
  for (int i = 0; i < lead.rank(); ++i) dims[static_cast<size_t>(i)] = lead[i];
  dims[static_cast<size_t>(lead.rank())] = a[a.rank() - 2];
  dims[static_cast<size_t>(lead.rank() + 1)] = b[b.rank() - 1];
  op.y = makeLike(op.a, Shape(dims.data(), lead.rank() + 2), op.a.dtype);
}

void prepare(ReduceOp& op, bool keepDims) {
  std::array<int64_t, kMaxRank> dims{};
  int rank = 0;
  for (int i = 0; i < op.x.shape.rank(); ++i) {
    const bool reduced = op.reduce >> i & 1;
    if (!reduced || keepDims) dims[static_cast<size_t>(rank++)] = reduced ? 1 : op.x.shape[i];
  }
  op.y = makeLike(op.x, Shape(dims.data(), rank), op.x.dtype);
}

void prepare(TransposeOp& op) {
  const int rank = op.x.shape.rank();
  uint32_t seen = 0;
  std::array<int64_t, kMaxRank> dims{};
  for (int i = 0; i < rank; ++i) {
    const int from = op.permutation[static_cast<size_t>(i)];
    if (from < 0 || from >= rank || (seen >> from & 1)) {
      throw Error(Code::kArgument, format("permutation must name each of the %d axes of x once", rank));
    }
    seen |= 1u << from;
    dims[static_cast<size_t>(i)] = op.x.shape[from];
  }
  op.y = makeLike(op.x, Shape(dims.data(), rank), op.x.dtype);
}

void prepare(PadOp& op) {
  const int rank = op.x.shape.rank();
  if (rank == 0) throw Error(Code::kShape, "pad: x has rank 0; it needs at least one axis");
  const int64_t length = op.x.shape[rank - 1];
  const int64_t widest = op.left > op.right ? op.left : op.right;
  if (op.left < 0 || op.right < 0) throw Error(Code::kArgument, "pad: the widths must be at least 0");
  const int64_t most = op.mode == PadMode::kReflect ? length - 1 : op.mode == PadMode::kCircular ? length : INT64_MAX;
  if (widest > most) {
    throw Error(Code::kArgument, format("pad: a width of %lld is more than a last axis of %lld allows in this mode (at most %lld)",
                                        static_cast<long long>(widest), static_cast<long long>(length), static_cast<long long>(most)));
  }
  if (op.left > (int64_t{1} << 52) || op.right > (int64_t{1} << 52)) throw Error(Code::kMemory, "pad: the result is larger than memory");
  op.y = makeLike(op.x, op.x.shape.with(rank - 1, length + op.left + op.right), op.x.dtype);
}

void prepare(NarrowOp& op, int64_t length) {
  const int rank = op.x.shape.rank();
  if (op.axis < 0 || op.axis >= rank) throw Error(Code::kArgument, format("narrow: axis is outside x's rank %d", rank));
  const int64_t size = op.x.shape[op.axis];
  if (op.start < 0 || length < 1 || op.start > size || length > size - op.start) {
    throw Error(Code::kArgument, format("narrow: start %lld and length %lld leave axis %d of size %lld", static_cast<long long>(op.start),
                                        static_cast<long long>(length), op.axis, static_cast<long long>(size)));
  }
  op.y = makeLike(op.x, op.x.shape.with(op.axis, length), op.x.dtype);
}

void prepare(ConcatOp& op) {
  if (op.parts.empty()) throw Error(Code::kArgument, "cat: tensors is empty; it needs at least one");
  const Tensor& first = op.parts.front();
  if (op.axis < 0 || op.axis >= first.shape.rank()) {
    throw Error(Code::kArgument, format("cat: axis is outside the tensors' rank %d", first.shape.rank()));
  }
  int64_t total = 0;
  for (const Tensor& part : op.parts) {
    requireSameDevice("tensors[0]", first, "one of tensors", part);
    requireSameDType("tensors[0]", first, "one of tensors", part);
    if (part.shape.rank() != first.shape.rank() || !(part.shape.with(op.axis, 1) == first.shape.with(op.axis, 1))) {
      throw Error(Code::kShape,
                  format("cat: shape %s does not match %s outside axis %d", part.shape.str().c_str(), first.shape.str().c_str(), op.axis));
    }
    total += part.shape[op.axis];
  }
  op.y = makeLike(first, first.shape.with(op.axis, total), first.dtype);
}

void prepare(InterpolateOp& op) {
  const int rank = op.x.shape.rank();
  if (rank == 0) throw Error(Code::kShape, "interpolate: x has rank 0; it needs at least one axis");
  if (op.factor < 1)
    throw Error(Code::kArgument, format("interpolate: factor is %lld; it must be at least 1", static_cast<long long>(op.factor)));
  const int64_t length = op.x.shape[rank - 1];
  if (op.factor > (int64_t{1} << 52) / length) throw Error(Code::kMemory, "interpolate: the result is larger than memory");
  op.y = makeLike(op.x, op.x.shape.with(rank - 1, length * op.factor), op.x.dtype);
}

void prepare(CastOp& op, DType dtype) {
  op.y = makeLike(op.x, op.x.shape, dtype);
}

}  // namespace weightnorm::core
