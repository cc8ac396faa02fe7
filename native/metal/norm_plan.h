#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

// Which weight norm kernels run and how they are launched, as plain data: norm_encode.mm encodes it, test/ptx launches the same on another
// GPU. No Metal here. The params are the kernels' own structs, field by field.
namespace weightnorm::metal {

struct NormRule {
  enum Eps : uint32_t { kUnset, kClamp, kZero };
  enum Output : uint32_t { kWeight, kNorm, kScale };
  uint32_t gType, epsMode;
  float eps;
  uint32_t output;
};
struct RowsParams {
  uint64_t rows;
  uint32_t columns, lanes;
  NormRule rule;
};
struct SplitParams {
  uint64_t columns;
  uint32_t parts, length;
  NormRule rule;
};
struct ColumnsParams {
  uint32_t rows, columns, run, kept, strip, strips, lanes, depth, parts, length;
  uint64_t norms;
  NormRule rule;
};
struct NestParams {
  uint64_t keptSize[4], keptStride[4], reducedSize[4], reducedStride[4], reduced;
  NormRule rule;
};

// What a buffer index holds. kStatistic: the float32 norms or scales; kPartial: scratch between two dispatches.
enum class NormBuffer : uint8_t { kV, kG, kW, kStatistic, kGradW, kGradV, kGradG, kPartial };

struct NormDispatch {
  std::string library, kernel;
  std::vector<NormBuffer> buffers;  // by index; the params follow at the next
  std::variant<RowsParams, SplitParams, ColumnsParams, NestParams> params;
  uint64_t groups[2];
  uint32_t threads;    // a threadgroup, whole simdgroups
  uint32_t board = 0;  // bytes of threadgroup memory at index 0
};
struct NormPlan {
  std::vector<NormDispatch> dispatches;
  uint64_t partialBytes = 0;
};

// The most threads a threadgroup of a kernel may have on this GPU.
using ThreadLimit = std::function<uint32_t(const std::string& library, const std::string& kernel)>;

NormRule normRule(core::DType gType, const std::optional<double>& eps, NormRule::Output output);

// w (kV, kG to kW), or the norms or scales (to kStatistic), of v over the reduced axes of `nest`.
NormPlan planNorm(const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit);
// The gradients: kGradW, kV, kG to kGradV, kGradG.
NormPlan planBackward(const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit);

// Scales of many weights of one dtype, g type and eps in one dispatch (kernels/scale.metal), whose only argument is the table.
struct ScaleSegment {
  uint64_t v, g, scale;  // GPU addresses
  uint32_t rows;
  uint16_t chunks;   // a row
  uint8_t laneBits;  // 2^laneBits lanes of a simdgroup share a row; 0 says a whole threadgroup
  uint8_t width;     // elements a chunk
};
struct ScaleBlock {
  static constexpr size_t kSegments = 7;
  uint32_t firstGroup[kSegments];  // each weight's first threadgroup; the largest number past the last weight
  ScaleSegment segments[kSegments];
};
struct ScaleParams {
  static constexpr size_t kBlocks = 14;
  static constexpr size_t kMost = kBlocks * ScaleBlock::kSegments;
  NormRule rule;
  uint32_t firstGroup[kBlocks];  // each block's
  ScaleBlock blocks[kBlocks];
};
static_assert(sizeof(ScaleBlock) == 256 && sizeof(ScaleParams) <= 4096);
struct ScaleWeight {
  uint64_t v, g, scale;
  int64_t rows, columns;
};
struct ScalePlan {
  std::string kernel;
  ScaleParams params;
  uint64_t groups;
  uint32_t threads;
};
// Whether that kernel takes a weight: contiguous rows, not so long that they are worth several threadgroups.
bool scaledTogether(const core::Nest& nest);
// At most ScaleParams::kMost weights.
ScalePlan planScales(std::vector<ScaleWeight> weights, core::DType dtype, const NormRule& rule, const ThreadLimit& limit);

}  // namespace weightnorm::metal
