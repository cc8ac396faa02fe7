#include "metal/norm_plan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <initializer_list>
#include <numeric>

namespace weightnorm::metal {

namespace {

constexpr uint32_t kSimdWidth = 32;
constexpr int64_t kShortRowThreads = 128;  // a threadgroup of several short rows
constexpr int64_t kMostThreads = 1024;
constexpr int64_t kSplitThreads = 256;
constexpr int64_t kSplitTarget = 1024;    // threadgroups that keep any GPU busy
constexpr int64_t kSplitMinimum = 16384;  // elements a part
constexpr int64_t kSplitMaxParts = 512;
constexpr int64_t kCachedChunks = 4096;  // 4 chunks in each of 1024 threads
constexpr int64_t kLongestRun = 512;
constexpr int64_t kStripNorms = 64;  // kernels/norm_columns.h
constexpr int64_t kStripBytes = 128;
constexpr int64_t kSectorBytes = 32;
constexpr int64_t kColumnThreads = 256;
constexpr int64_t kSectorThreads = 512;
constexpr int64_t kColumnMaxParts = 32;
constexpr uint32_t kBoardBytes = 16384;
constexpr int64_t kFewStrips = 256;
constexpr int64_t kScaleThreads = 128;
constexpr int64_t kLaneChunks = 8;            // of such a row a lane has in flight
constexpr int64_t kSimdgroupChunks = 1024;    // the longest row that one simdgroup of the scale kernel takes
constexpr int64_t kLongestScaledRow = 65536;  // elements

const std::vector<NormBuffer> kForward = {NormBuffer::kV, NormBuffer::kG, NormBuffer::kW, NormBuffer::kStatistic};
const std::vector<NormBuffer> kBackward = {NormBuffer::kGradW, NormBuffer::kV, NormBuffer::kG, NormBuffer::kGradV, NormBuffer::kGradG};

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

std::vector<NormBuffer> with(std::vector<NormBuffer> buffers, NormBuffer last) {
  buffers.push_back(last);
  return buffers;
}

// Rows are read in 16-byte chunks where they keep that alignment, else element by element. `suffix` ends the kernel's name:
// "float16" or "scalar_float16".
struct Chunking {
  uint32_t width;  // elements a chunk
  std::string suffix;
};
Chunking chunking(core::DType dtype, int64_t columns, uint32_t width) {
  if (columns % width == 0) return {width, core::name(dtype)};
  return {1, std::string("scalar_") + core::name(dtype)};
}
Chunking rowChunking(core::DType dtype, int64_t columns) {
  return chunking(dtype, columns, static_cast<uint32_t>(16 / core::sizeOf(dtype)));
}

// `lanes` lanes of a simdgroup own a row, with up to `perThread` chunks each. A lane should have at least 8 elements, so that finishing
// a row stays cheap beside reading it.
struct SimdShare {
  uint32_t lanes, perThread;
};
std::optional<SimdShare> simdShare(int64_t chunks) {
  for (const SimdShare share : {SimdShare{4, 1}, {4, 2}, {8, 2}, {16, 2}, {32, 2}, {32, 4}}) {
    if (chunks <= share.lanes * share.perThread) return share;
  }
  return std::nullopt;
}

// Lanes of a simdgroup to a row of the scale kernel, as a power of two; 0 says a whole threadgroup.
uint32_t scaleLaneBits(int64_t chunks) {
  for (const uint32_t bits : {3u, 4u}) {
    if (chunks <= kLaneChunks << bits) return bits;
  }
  return chunks <= kSimdgroupChunks ? 5 : 0;
}

// Threads to use of what a pipeline allows, whole simdgroups only.
uint32_t wholeSimdgroups(int64_t threads, uint32_t maxThreads) {
  const int64_t most = std::max<int64_t>(maxThreads / kSimdWidth, 1) * kSimdWidth;
  return static_cast<uint32_t>(std::min(ceilDiv(threads, kSimdWidth) * kSimdWidth, most));
}

// Both directions of one operation.
struct Direction {
  std::string rows, split, columns, nest;  // libraries
  std::string prefix;
  const std::vector<NormBuffer>& buffers;
  std::vector<NormBuffer> inputs;
  uint64_t partialBytes;  // of rows cut into parts
  uint64_t columnBytes;   // of columns cut into parts
  uint32_t columnChunk;   // bytes of a chunk of columns, at most
  uint32_t columnRows;    // least rows a thread of a part, so that adding up partial sums stays cheap
};
const Direction kForwardDirection{
    "weight_norm", "weight_norm_split", "weight_norm_columns", "weight_norm_nest", "wn", kForward, {NormBuffer::kV}, 16, 8, 16, 32};
const Direction kBackwardDirection{"weight_norm_backward",
                                   "weight_norm_backward_split",
                                   "weight_norm_backward_columns",
                                   "weight_norm_backward_nest",
                                   "wnb",
                                   kBackward,
                                   {NormBuffer::kGradW, NormBuffer::kV},
                                   32,
                                   32,
                                   8,
                                   64};

// Rows that each fit one threadgroup or less. `perThread` lists the chunks a thread of a whole threadgroup may keep, the preferred
// number first.
NormDispatch wholeRows(const Direction& way, const Chunking& chunks, int64_t rows, int64_t columns, const NormRule& rule,
                       std::initializer_list<int64_t> perThread, const ThreadLimit& limit) {
  const int64_t count = columns / chunks.width;
  const auto launch = [&](const std::string& kind, uint32_t lanes, uint64_t groups, uint32_t threads) {
    return NormDispatch{way.rows,    way.prefix + kind + chunks.suffix,
                        way.buffers, RowsParams{static_cast<uint64_t>(rows), static_cast<uint32_t>(columns), lanes, rule},
                        {groups, 1}, threads};
  };
  if (const auto share = simdShare(count)) {
    const std::string kind = "_simd_k" + std::to_string(share->perThread) + "_";
    const uint32_t threads = wholeSimdgroups(kShortRowThreads, limit(way.rows, way.prefix + kind + chunks.suffix));
    return launch(kind, share->lanes, static_cast<uint64_t>(ceilDiv(rows, threads / share->lanes)), threads);
  }
  for (const int64_t each : perThread) {
    const int64_t threads = ceilDiv(ceilDiv(count, each), kSimdWidth) * kSimdWidth;
    const std::string kind = "_group_k" + std::to_string(each) + "_";
    if (threads > kMostThreads || threads > limit(way.rows, way.prefix + kind + chunks.suffix)) continue;
    return launch(kind, kSimdWidth, static_cast<uint64_t>(rows), static_cast<uint32_t>(threads));
  }
  return launch("_loop_", kSimdWidth, static_cast<uint64_t>(rows),
                wholeSimdgroups(kMostThreads, limit(way.rows, way.prefix + "_loop_" + chunks.suffix)));
}

// How to cut few long rows over several threadgroups; nothing where one threadgroup a row does as well.
std::optional<SplitParams> splitRows(int64_t rows, int64_t columns, uint32_t width) {
  if (columns / width <= kCachedChunks || rows >= kSplitTarget) return std::nullopt;
  const int64_t wanted = std::min({ceilDiv(kSplitTarget, rows), ceilDiv(columns, kSplitMinimum), kSplitMaxParts});
  const int64_t length = ceilDiv(ceilDiv(columns, std::max<int64_t>(wanted, 2)), width) * width;
  return SplitParams{static_cast<uint64_t>(columns), static_cast<uint32_t>(ceilDiv(columns, length)), static_cast<uint32_t>(length), {}};
}

// Two dispatches over parts: one leaves partial sums, one adds them up and writes its part. Norms alone need one part of the second.
NormPlan inParts(const Direction& way, const std::string& library, const std::string& sum, const std::string& apply,
                 const decltype(NormDispatch::params)& params, uint64_t partialBytes, const std::array<uint64_t, 2>& grid,
                 const std::array<uint64_t, 2>& applied, uint32_t sumThreads, uint32_t applyThreads, uint32_t board) {
  return {{{library, sum, with(way.inputs, NormBuffer::kPartial), params, {grid[0], grid[1]}, sumThreads, board},
           {library, apply, with(way.buffers, NormBuffer::kPartial), params, {applied[0], applied[1]}, applyThreads}},
          partialBytes};
}

NormPlan planRows(const Direction& way, const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  const int64_t rows = nest.kept, columns = nest.reduced;
  const Chunking chunks = rowChunking(dtype, columns);
  auto split = splitRows(rows, columns, chunks.width);
  if (!split) {
    return {{wholeRows(way, chunks, rows, columns, rule, {4}, limit)}};
  }
  split->rule = rule;
  const std::string library = way.split, sum = way.prefix + "_split_sum_" + chunks.suffix,
                    apply = way.prefix + "_split_apply_" + chunks.suffix;
  const std::array<uint64_t, 2> grid = {split->parts, static_cast<uint64_t>(rows)};
  const std::array<uint64_t, 2> applied = {rule.output == NormRule::kWeight ? split->parts : 1u, static_cast<uint64_t>(rows)};
  return inParts(way, library, sum, apply, *split, way.partialBytes * split->parts * static_cast<uint64_t>(rows), grid, applied,
                 wholeSimdgroups(kSplitThreads, limit(library, sum)), wholeSimdgroups(kSplitThreads, limit(library, apply)), 0);
}

// A nest seen as [batches, rows, kept, run] with norms over rows and run; nothing where it is not one, or runs are long.
struct ColumnNest {
  int64_t batches = 1, rows = 1, kept = 1, run = 1;
};
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

// How wide strips are: 128 bytes of every row in whole norms. Runs such as 3 or 7 make that end anywhere in a cache line:
//   kNarrow    narrower where that would leave the GPU idle
//   kSectors   whole sectors of lines, and more threads to keep them in; only where kNarrow gives none of them, and enough strips
//   kLines     whole lines, where few enough lanes can have them
enum class Strips : uint8_t { kNarrow, kSectors, kLines };

// Strips and threads for chunks of `width` elements; nothing where one strip needs more than `maxThreads`. All rows are one part.
struct ColumnLaunch {
  ColumnsParams params;
  uint64_t groups;
  uint32_t threads;
  uint32_t board;  // bytes of threadgroup memory
};
std::optional<ColumnLaunch> columnLaunch(const ColumnNest& nest, uint32_t width, core::DType dtype, Strips strips, uint32_t maxThreads) {
  const int64_t columns = nest.kept * nest.run, size = static_cast<int64_t>(core::sizeOf(dtype));
  const int64_t unit = std::lcm<int64_t>(nest.run, width), wide = width == 1 ? kSimdWidth : kStripBytes / size;
  const int64_t most = wholeSimdgroups(strips == Strips::kSectors ? kSectorThreads : kColumnThreads, maxThreads);
  int64_t strip = std::max<int64_t>(1, wide / unit) * unit;
  const auto count = [&] { return nest.batches * ceilDiv(columns, strip); };
  if (strips == Strips::kSectors) {
    if (width == 1 || strip * size % kSectorBytes == 0) return std::nullopt;
    strip = std::lcm(unit, kSectorBytes / size);
    if (strip > 2 * wide || count() < kFewStrips) return std::nullopt;
  } else if (strips == Strips::kLines) {
    const int64_t lines = std::lcm(unit, wide);
    if (width > 1 && lines / width <= most / 4) strip = lines;
  } else {
    while (strip % 2 == 0 && strip / 2 % unit == 0 && strip / width > 2 && count() < kFewStrips) strip /= 2;
  }
  strip = std::min(strip, columns);
  const int64_t lanes = strip / width;
  // Every norm of a strip has its own thread.
  const int64_t norms = strip / nest.run;
  if (std::max(lanes, norms) > most || norms > kStripNorms) return std::nullopt;
  int64_t depth = std::min(std::bit_floor(static_cast<uint64_t>(most / lanes)), std::bit_ceil(static_cast<uint64_t>(nest.rows)));
  const auto board = [&] { return static_cast<uint32_t>(strip * std::max<int64_t>(1, depth / 2) * 8); };
  while (depth > 1 && board() > kBoardBytes) depth /= 2;
  ColumnLaunch launch;
  const int64_t across = ceilDiv(columns, strip);
  const auto u32 = [](int64_t x) { return static_cast<uint32_t>(x); };
  launch.params = {u32(nest.rows),
                   u32(columns),
                   u32(nest.run),
                   u32(nest.kept),
                   u32(strip),
                   u32(across),
                   u32(lanes),
                   u32(depth),
                   1,
                   u32(nest.rows),
                   static_cast<uint64_t>(nest.batches * nest.kept),
                   {}};
  launch.groups = static_cast<uint64_t>(nest.batches * across);
  launch.threads = wholeSimdgroups(std::max(lanes * depth, norms), static_cast<uint32_t>(most));
  launch.board = board();
  return launch;
}

std::optional<NormPlan> planColumns(const Direction& way, const ColumnNest& nest, core::DType dtype, const Chunking& chunks,
                                    const NormRule& rule, const ThreadLimit& limit) {
  const std::string& library = way.columns;
  if (&way == &kForwardDirection) {
    for (const Strips strips : {Strips::kSectors, Strips::kNarrow}) {
      for (const uint32_t kept : {8u, 16u}) {
        const std::string kernel = "wn_columns_k" + std::to_string(kept) + "_" + chunks.suffix;
        auto launch = columnLaunch(nest, chunks.width, dtype, strips, limit(library, kernel));
        if (!launch || launch->params.rows > kept * launch->params.depth) continue;
        launch->params.rule = rule;
        return NormPlan{{{library, kernel, way.buffers, launch->params, {launch->groups, 1}, launch->threads, launch->board}}};
      }
    }
  }
  const std::string sum = way.prefix + "_columns_sum_" + chunks.suffix, apply = way.prefix + "_columns_apply_" + chunks.suffix;
  auto launch = columnLaunch(nest, chunks.width, dtype, Strips::kLines, std::min(limit(library, sum), limit(library, apply)));
  if (!launch) return std::nullopt;
  ColumnsParams& p = launch->params;
  p.rule = rule;
  p.length =
      static_cast<uint32_t>(std::max<int64_t>(way.columnRows * p.depth, ceilDiv(ceilDiv(p.rows, kColumnMaxParts), p.depth) * p.depth));
  p.parts = static_cast<uint32_t>(ceilDiv(p.rows, p.length));
  const uint64_t partialBytes = way.columnBytes * p.parts * p.norms;
  return inParts(way, library, sum, apply, p, partialBytes, {launch->groups, p.parts},
                 {launch->groups, rule.output == NormRule::kWeight ? p.parts : 1u}, launch->threads, launch->threads, launch->board);
}

NormDispatch anyNest(const Direction& way, const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  NestParams p{};
  std::fill_n(p.keptSize, 4, 1);
  std::fill_n(p.reducedSize, 4, 1);
  p.reduced = static_cast<uint64_t>(nest.reduced);
  p.rule = rule;
  // Axes of a kind alternate, so four of each are enough; they end at index 3, the innermost.
  int kept = 3, reduced = 3;
  for (int i = nest.count - 1; i >= 0; --i) {
    const core::Nest::Axis& axis = nest.axes[static_cast<size_t>(i)];
    int& at = axis.reduced ? reduced : kept;
    (axis.reduced ? p.reducedSize : p.keptSize)[at] = static_cast<uint64_t>(axis.size);
    (axis.reduced ? p.reducedStride : p.keptStride)[at] = static_cast<uint64_t>(axis.stride);
    --at;
  }
  const std::string library = way.nest, kernel = way.prefix + "_nest_" + core::name(dtype);
  return {library,
          kernel,
          way.buffers,
          p,
          {static_cast<uint64_t>(nest.kept), 1},
          wholeSimdgroups(std::min(nest.reduced, kMostThreads), limit(library, kernel))};
}

NormPlan plan(const Direction& way, const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  if (nest.form == core::Nest::Form::kRows) return planRows(way, nest, dtype, rule, limit);
  if (const auto columns = columnNest(nest)) {
    const auto width = std::max(4u, way.columnChunk / static_cast<uint32_t>(core::sizeOf(dtype)));
    const Chunking chunks = chunking(dtype, columns->kept * columns->run, width);
    if (auto planned = planColumns(way, *columns, dtype, chunks, rule, limit)) return *planned;
    if (auto planned = planColumns(way, *columns, dtype, chunking(dtype, 1, width), rule, limit)) return *planned;
  }
  return {{anyNest(way, nest, dtype, rule, limit)}};
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

NormPlan planNorm(const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  return plan(kForwardDirection, nest, dtype, rule, limit);
}

NormPlan planBackward(const core::Nest& nest, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  return plan(kBackwardDirection, nest, dtype, rule, limit);
}

bool scaledTogether(const core::Nest& nest) {
  return nest.form == core::Nest::Form::kRows && nest.reduced <= kLongestScaledRow && nest.kept < INT32_MAX;
}

ScalePlan planScales(std::vector<ScaleWeight> weights, core::DType dtype, const NormRule& rule, const ThreadLimit& limit) {
  ScalePlan plan{};
  plan.kernel = std::string("scale_segments_") + core::name(dtype);
  plan.threads = wholeSimdgroups(kScaleThreads, limit("scale", plan.kernel));
  plan.params.rule = rule;
  std::fill_n(plan.params.firstGroup, ScaleParams::kBlocks, UINT32_MAX);
  for (ScaleBlock& block : plan.params.blocks) std::fill_n(block.firstGroup, ScaleBlock::kSegments, UINT32_MAX);
  // What takes longest begins first.
  std::sort(weights.begin(), weights.end(),
            [](const ScaleWeight& a, const ScaleWeight& b) { return a.columns != b.columns ? a.columns > b.columns : a.v < b.v; });
  for (size_t i = 0; i < weights.size(); ++i) {
    const ScaleWeight& weight = weights[i];
    const Chunking chunks = rowChunking(dtype, weight.columns);
    const uint32_t laneBits = scaleLaneBits(weight.columns / chunks.width);
    const size_t block = i / ScaleBlock::kSegments, own = i % ScaleBlock::kSegments;
    const uint32_t first = static_cast<uint32_t>(plan.groups);
    if (own == 0) plan.params.firstGroup[block] = first;
    plan.params.blocks[block].firstGroup[own] = first;
    plan.params.blocks[block].segments[own] = {weight.v,
                                               weight.g,
                                               weight.scale,
                                               static_cast<uint32_t>(weight.rows),
                                               static_cast<uint16_t>(weight.columns / chunks.width),
                                               static_cast<uint8_t>(laneBits),
                                               static_cast<uint8_t>(chunks.width)};
    plan.groups += static_cast<uint64_t>(laneBits == 0 ? weight.rows : ceilDiv(weight.rows, plan.threads >> laneBits));
  }
  return plan;
}

}  // namespace weightnorm::metal
