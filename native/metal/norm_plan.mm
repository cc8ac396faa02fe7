#include "metal/norm_plan.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <numeric>

namespace weightnorm::metal {

namespace {
constexpr uint32_t kSimdWidth = 32;
constexpr int64_t kShortRowThreads = 128;  // a threadgroup of several short rows
constexpr int64_t kLoopThreads = 1024;
constexpr int64_t kSplitTarget = 1024;    // threadgroups that keep any GPU busy
constexpr int64_t kSplitMinimum = 16384;  // elements a part
constexpr int64_t kSplitMaxParts = 512;
constexpr int64_t kCachedChunks = 4096;  // 4 chunks in each of 1024 threads
constexpr int64_t kLongestRun = 512;
constexpr uint32_t kBoardBytes = 16384;
constexpr int64_t kFewStrips = 256;

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
}  // namespace

NormRule normRule(core::DType gType, const std::optional<double>& eps, NormRule::Output output) {
  NormRule rule{static_cast<uint32_t>(gType), NormRule::kUnset, 0, output};
  if (eps) {
    rule.epsMode = *eps > 0 ? NormRule::kClamp : NormRule::kZero;
    // An eps below float's normal range still means "not a zero row".
    rule.eps = *eps > 0 ? static_cast<float>(std::clamp<double>(*eps, FLT_MIN, FLT_MAX)) : 0.0f;
  }
  return rule;
}

Chunking chunking(core::DType dtype, int64_t columns) {
  const auto width = static_cast<uint32_t>(16 / core::sizeOf(dtype));
  if (columns % width == 0) return {width, core::name(dtype)};
  return {1, std::string("scalar_") + core::name(dtype)};
}

// A lane should have at least 8 elements, so that finishing a row stays cheap beside reading it.
std::optional<SimdShare> simdShare(int64_t chunks) {
  for (const SimdShare share : {SimdShare{4, 1}, {4, 2}, {8, 2}, {16, 2}, {32, 2}, {32, 4}}) {
    if (chunks <= share.lanes * share.perThread) return share;
  }
  return std::nullopt;
}

uint32_t wholeSimdgroups(int64_t threads, uint32_t maxThreads) {
  const int64_t most = std::max<int64_t>(maxThreads / kSimdWidth, 1) * kSimdWidth;
  return static_cast<uint32_t>(std::min(ceilDiv(threads, kSimdWidth) * kSimdWidth, most));
}

RowsLaunch rowsLaunch(Encoder& encoder, const std::string& library, const std::string& prefix, const Chunking& chunks, int64_t rows,
                      int64_t columns, std::initializer_list<int64_t> perThread) {
  const int64_t count = columns / chunks.width;
  if (const auto share = simdShare(count)) {
    const Pipeline& pipeline = encoder.pipeline(library, prefix + "_simd_k" + std::to_string(share->perThread) + "_" + chunks.suffix);
    const uint32_t threads = wholeSimdgroups(kShortRowThreads, pipeline.maxThreads);
    return {pipeline, share->lanes, static_cast<uint64_t>(ceilDiv(rows, threads / share->lanes)), threads};
  }
  for (const int64_t each : perThread) {
    const int64_t threads = ceilDiv(ceilDiv(count, each), kSimdWidth) * kSimdWidth;
    if (threads > kLoopThreads) continue;
    const Pipeline& pipeline = encoder.pipeline(library, prefix + "_group_k" + std::to_string(each) + "_" + chunks.suffix);
    if (threads <= pipeline.maxThreads) return {pipeline, kSimdWidth, static_cast<uint64_t>(rows), static_cast<uint32_t>(threads)};
  }
  const Pipeline& pipeline = encoder.pipeline(library, prefix + "_loop_" + chunks.suffix);
  return {pipeline, kSimdWidth, static_cast<uint64_t>(rows), wholeSimdgroups(kLoopThreads, pipeline.maxThreads)};
}

std::optional<SplitParams> splitRows(int64_t rows, int64_t columns, uint32_t width) {
  if (columns / width <= kCachedChunks || rows >= kSplitTarget) return std::nullopt;
  const int64_t wanted = std::min({ceilDiv(kSplitTarget, rows), ceilDiv(columns, kSplitMinimum), kSplitMaxParts});
  const int64_t length = ceilDiv(ceilDiv(columns, std::max<int64_t>(wanted, 2)), width) * width;
  return SplitParams{static_cast<uint64_t>(columns), static_cast<uint32_t>(ceilDiv(columns, length)), static_cast<uint32_t>(length), {}};
}

std::optional<ColumnNest> columnNest(const core::Nest& nest) {
  ColumnNest c;
  int i = nest.count - 1;
  const auto take = [&](bool reduced, int64_t& size) {
    if (i < 0 || nest.axes[static_cast<size_t>(i)].reduced != reduced) return false;
    size = nest.axes[static_cast<size_t>(i--)].size;
    return true;
  };
  take(true, c.run);
  if (!take(false, c.kept) || !take(true, c.rows)) return std::nullopt;
  take(false, c.batches);
  if (i >= 0 || c.run > kLongestRun || c.rows > INT32_MAX || c.kept * c.run > INT32_MAX) return std::nullopt;
  return c;
}

std::optional<ColumnLaunch> columnLaunch(const ColumnNest& nest, uint32_t width, uint32_t maxThreads) {
  const int64_t columns = nest.kept * nest.run, unit = std::lcm<int64_t>(nest.run, width);
  const int64_t most = wholeSimdgroups(width == 8 ? 512 : 1024, maxThreads);
  // 128 bytes of every row, in whole norms; narrower where that leaves too few strips to keep the GPU busy.
  int64_t strip = std::max<int64_t>(1, int64_t{width == 1 ? 32u : 8u * width} / unit) * unit;
  while (strip % 2 == 0 && strip / 2 % unit == 0 && strip / width > 2 && nest.batches * ceilDiv(columns, strip) < kFewStrips) strip /= 2;
  strip = std::min(strip, columns);
  const int64_t lanes = strip / width;
  // Every norm of a strip has its own thread.
  const int64_t norms = strip / nest.run;
  if (std::max(lanes, norms) > most) return std::nullopt;
  int64_t depth = std::min(std::bit_floor(static_cast<uint64_t>(most / lanes)), std::bit_ceil(static_cast<uint64_t>(nest.rows)));
  const auto board = [&] { return static_cast<uint32_t>(strip * std::max<int64_t>(1, depth / 2) * 8); };
  while (depth > 1 && board() > kBoardBytes) depth /= 2;
  ColumnLaunch launch;
  const int64_t strips = ceilDiv(columns, strip);
  launch.params = {static_cast<uint32_t>(nest.rows), static_cast<uint32_t>(columns), static_cast<uint32_t>(nest.run),
                   static_cast<uint32_t>(nest.kept), static_cast<uint32_t>(strip),   static_cast<uint32_t>(strips),
                   static_cast<uint32_t>(lanes),     static_cast<uint32_t>(depth),   {}};
  launch.groups = static_cast<uint64_t>(nest.batches * strips);
  launch.threads = wholeSimdgroups(std::max(lanes * depth, norms), static_cast<uint32_t>(most));
  launch.board = board();
  return launch;
}

NestParams nestParams(const core::Nest& nest) {
  NestParams p{};
  std::fill_n(p.keptSize, 4, 1);
  std::fill_n(p.reducedSize, 4, 1);
  p.reduced = static_cast<uint64_t>(nest.reduced);
  // Axes of a kind alternate, so four of each are enough; they end at index 3, the innermost.
  int kept = 3, reduced = 3;
  for (int i = nest.count - 1; i >= 0; --i) {
    const core::Nest::Axis& axis = nest.axes[static_cast<size_t>(i)];
    int& at = axis.reduced ? reduced : kept;
    (axis.reduced ? p.reducedSize : p.keptSize)[at] = static_cast<uint64_t>(axis.size);
    (axis.reduced ? p.reducedStride : p.keptStride)[at] = static_cast<uint64_t>(axis.stride);
    --at;
  }
  return p;
}

}  // namespace weightnorm::metal
