#include "addon/geometry.h"

#include <utility>

namespace weightnorm::addon {

namespace {

enum Slot : size_t {
  kStride = 0,
  kDilation = 2,
  kPadBegin = 4,
  kPadEnd = 6,
  kOutputPadding = 8,
  kGroups = 10,
  kPadMode = 11,
  kOutScale = 12,
  kFlags = 13
};
constexpr int64_t kTransposed = 1, kScalePerInput = 2, kDirect = 4;

}  // namespace

int64_t sizeFrom(double number) {
  if (!(number >= 0 && number <= 9007199254740992.0)) throw core::Error(core::Code::kArgument, core::format("%g is not a size", number));
  return static_cast<int64_t>(number);
}

void readGeometry(const double* slots, core::ConvOp& op) {
  for (size_t d = 0; d < 2; ++d) {
    op.stride[d] = sizeFrom(slots[kStride + d]);
    op.dilation[d] = sizeFrom(slots[kDilation + d]);
    op.padBegin[d] = sizeFrom(slots[kPadBegin + d]);
    op.padEnd[d] = sizeFrom(slots[kPadEnd + d]);
    op.outputPadding[d] = sizeFrom(slots[kOutputPadding + d]);
  }
  op.groups = sizeFrom(slots[kGroups]);
  const int64_t mode = sizeFrom(slots[kPadMode]);
  if (mode > static_cast<int64_t>(core::PadMode::kCircular)) throw core::Error(core::Code::kArgument, "unknown padding mode");
  op.padMode = static_cast<core::PadMode>(mode);
  op.outScale = static_cast<float>(slots[kOutScale]);
  const int64_t flags = sizeFrom(slots[kFlags]);
  op.transposed = flags & kTransposed;
  op.scalePerInput = flags & kScalePerInput;
  op.direct = flags & kDirect;
}

core::Activation readActivation(const double* slots, core::Tensor alpha) {
  const int64_t kind = sizeFrom(slots[0]);
  if (kind > static_cast<int64_t>(core::Act::kPow)) throw core::Error(core::Code::kArgument, "unknown activation code");
  return {static_cast<core::Act>(kind), static_cast<float>(slots[1]), slots[2] != 0, std::move(alpha)};
}

}  // namespace weightnorm::addon
