#include "cpu/conv.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/conv_operands.h"
#include "cpu/conv_pack.h"
#include "cpu/conv_plan.h"
#include "cpu/conv_winograd.h"
#include "cpu/cpu_device.h"
#include "cpu/operands.h"

namespace weightnorm::cpu {

namespace {

// One forward of one convolution; shared read-only by the tasks of its loop.
class ConvRun {
 public:
  ConvRun(const core::ConvOp& op, Pool& pool);
  void operator()() const;

 private:
  // A chunk of output positions of one image and group.
  struct Chunk {
    int64_t image, group;
    std::array<int64_t, 2> first, count;  // planar positions
  };

  Chunk chunkAt(int64_t index) const;
  void prepare(const Chunk& chunk, float* planes) const;
  void multiply(const Chunk& chunk, const float* planes, int64_t firstBlock, int64_t lastBlock, float* sums) const;
  void prepareRows(const Chunk& chunk, int64_t input, const std::array<int64_t, 2>& plane, int64_t rows, float* out) const;
  void prepareWhole(const Chunk& chunk, int64_t input, int64_t residue, int64_t rows, float* out) const;
  void finishBlock(const Chunk& chunk, int64_t block, float* sums, float* line) const;
  void finishPhases(const Chunk& chunk, int64_t block, const float* sums, float* line) const;
  void finishRow(const Chunk& chunk, int64_t channel, int64_t outRow, const float* const* rows, float* line) const;
  void finish(const Chunk& chunk, int64_t channel, int64_t outRow, int64_t outColumn, float* sums, int64_t count) const;

  const core::ConvOp& op_;
  Pool& pool_;
  const ConvKernels& kernels_;
  const ConvPlan plan_;
  const float* weights_;  // packed before the operands ask for the scale, which that may compute
  const ConvOperands operands_;
  std::vector<std::vector<int32_t>> offsets_;  // of each class, one for each (input channel, tap)
  struct PhaseRow {
    int64_t before, perChannel, index;  // phases of the classes before, of its class, and its place there
  };
  std::vector<PhaseRow> phaseRows_;  // of each phase {row, column}, numbered as the plan's residues
  bool wholeRows_;                   // a chunk reads whole input rows, and nothing beside them
  // Of one thread's memory: prepared input, sums, a line of output, and zeros where phases see no input.
  int64_t planesFloats_, sumsFloats_, lineFloats_, zeroFloats_;
};

ConvRun::ConvRun(const core::ConvOp& op, Pool& pool)
    : op_(op),
      pool_(pool),
      kernels_(get_convKernels()),
      plan_(op, kernels_, pool.threads()),
      weights_(packConv(op, plan_, kernels_, pool)),
      operands_(op) {
  for (const ConvClass& c : plan_.classes) {
    std::vector<int32_t> offsets;
    offsets.reserve(static_cast<size_t>(plan_.inputs) * c.taps.size());
    for (int64_t i = 0; i < plan_.inputs; ++i) {
      for (const ConvTap& tap : c.taps) {
        offsets.push_back(
            static_cast<int32_t>(i * plan_.channelStride + tap.plane * plan_.planeSize + tap.shift[0] * plan_.pitch + tap.shift[1]));
      }
    }
    offsets_.push_back(std::move(offsets));
  }
  wholeRows_ = op.padMode == core::PadMode::kZeros && plan_.in[0] > 1 && plan_.inStride[1] == 1 && plan_.begin[1] == 0 &&
               plan_.chunks[1] == 1 && plan_.pitch == plan_.in[1];
  phaseRows_.resize(static_cast<size_t>(plan_.phases));
  int64_t before = 0;
  for (const ConvClass& c : plan_.classes) {
    const int64_t count = static_cast<int64_t>(c.phases.size());
    for (int64_t i = 0; i < count; ++i) {
      const auto& at = c.phases[static_cast<size_t>(i)].at;
      const auto number = [&](size_t a) { return std::ranges::lower_bound(plan_.residues[a], at[a]) - plan_.residues[a].begin(); };
      phaseRows_[static_cast<size_t>(number(0)) * plan_.residues[1].size() + static_cast<size_t>(number(1))] = {before, count, i};
    }
    before += count;
  }
  planesFloats_ = plan_.inputs * plan_.channelStride;
  sumsFloats_ = plan_.channelBlock * plan_.phases * plan_.width;
  lineFloats_ = plan_.outStride[1] * plan_.width;
  const auto sparse = [&](size_t a) { return static_cast<int64_t>(plan_.residues[a].size()) < plan_.outStride[a]; };
  zeroFloats_ = sparse(0) || sparse(1) ? plan_.width : 0;
}

ConvRun::Chunk ConvRun::chunkAt(int64_t index) const {
  const std::array<int64_t, 2> at{index / plan_.chunks[1] % plan_.chunks[0], index % plan_.chunks[1]};
  index /= plan_.chunks[0] * plan_.chunks[1];
  Chunk chunk{index / plan_.groups, index % plan_.groups, {}, {}};
  for (size_t a = 0; a < 2; ++a) {
    chunk.first[a] = at[a] * plan_.chunk[a];
    chunk.count[a] = std::min(plan_.chunk[a], plan_.positions[a] - chunk.first[a]);
  }
  return chunk;
}

void ConvRun::operator()() const {
  const Scratch scratch(op_.y.storage->device(), pool_.threads(), planesFloats_ + sumsFloats_ + lineFloats_ + zeroFloats_);
  std::vector<int64_t> prepared(static_cast<size_t>(pool_.threads()), -1);
  pool_.parallelFor(plan_.tasks.count(), [&](int64_t task, int worker) {
    const int64_t index = plan_.tasks.chunk(task);
    const Chunk chunk = chunkAt(index);
    float* const planes = scratch.of(worker);
    int64_t& last = prepared[static_cast<size_t>(worker)];
    if (last != index) prepare(chunk, planes);
    last = index;
    multiply(chunk, planes, plan_.tasks.firstBlock(task), plan_.tasks.lastBlock(task), planes + planesFloats_);
  });
}

void ConvRun::multiply(const Chunk& chunk, const float* planes, int64_t firstBlock, int64_t lastBlock, float* sums) const {
  const bool runs = plan_.sumPitch != plan_.pitch;
  const int64_t used = (chunk.count[0] - 1) * plan_.sumPitch + (runs ? plan_.sumPitch : chunk.count[1]);
  const int64_t width = roundUp(used, kernels_.lanes);
  float* const line = sums + sumsFloats_;
  std::memset(line + lineFloats_, 0, static_cast<size_t>(zeroFloats_) * sizeof(float));
  for (int64_t block = firstBlock; block < lastBlock; ++block) {
    float* to = sums;
    for (size_t c = 0; c < plan_.classes.size(); ++c) {
      const int64_t terms = static_cast<int64_t>(offsets_[c].size());
      const int64_t rows = channelsOf(plan_, block) * static_cast<int64_t>(plan_.classes[c].phases.size());
      const float* w = weights_ + packedOffset(plan_, chunk.group, block, c);
      for (int64_t row = 0; row < rows;) {
        const int count = rowBlock(rows - row, kernels_);
        if (runs) {
          kernels_.multiplyRuns(planes, offsets_[c].data(), terms, w, count, to, plan_.width, width, plan_.sumPitch, plan_.pitch);
        } else {
          kernels_.multiply(planes, offsets_[c].data(), terms, w, count, to, plan_.width, width, false);
        }
        w += terms * count;
        to += plan_.width * count;
        row += count;
      }
    }
    finishBlock(chunk, block, sums, line);
  }
}

// Fills [input channel][plane][row][pitch] with the activated, padded input the chunk reads.
void ConvRun::prepare(const Chunk& chunk, float* planes) const {
  const int64_t rows = chunk.count[0] + plan_.reach[0];
  const int64_t unused = (plan_.chunk[0] - chunk.count[0]) * plan_.pitch;
  const int64_t filled = static_cast<int64_t>(plan_.planes.size()) * plan_.planeSize;
  for (int64_t i = 0; i < plan_.inputs; ++i) {
    float* out = planes + i * plan_.channelStride;
    for (const auto& plane : plan_.planes) {
      wholeRows_ ? prepareWhole(chunk, i, plane[0], rows, out) : prepareRows(chunk, i, plane, rows, out);
      out += rows * plan_.pitch;
      std::memset(out, 0, static_cast<size_t>(unused) * sizeof(float));
      out += unused;
    }
    std::memset(out, 0, static_cast<size_t>(plan_.channelStride - filled) * sizeof(float));
  }
}

void ConvRun::prepareRows(const Chunk& chunk, int64_t input, const std::array<int64_t, 2>& plane, int64_t rows, float* out) const {
  for (int64_t r = 0; r < rows; ++r, out += plan_.pitch) {
    const int64_t position = (chunk.first[0] + r) * plan_.inStride[0] + plane[0] - plan_.begin[0];
    const int64_t line = paddedIndex(op_.padMode, position, plan_.in[0]);
    if (line < 0) {
      std::memset(out, 0, static_cast<size_t>(plan_.pitch) * sizeof(float));
      continue;
    }
    GatherRow row = operands_.input(chunk.image, chunk.group * plan_.inputs + input, line);
    row.step = plan_.inStride[1];
    row.start = chunk.first[1] * row.step + plane[1] - plan_.begin[1];
    row.count = plan_.pitch;
    row.out = out;
    kernels_.gather(row);
  }
}

// Rows taken as they are: the image is one long row, of which a plane takes every inStride-th piece.
void ConvRun::prepareWhole(const Chunk& chunk, int64_t input, int64_t residue, int64_t rows, float* out) const {
  const int64_t first = chunk.first[0] * plan_.inStride[0] + residue - plan_.begin[0];
  GatherRow row = operands_.input(chunk.image, chunk.group * plan_.inputs + input, 0);
  row.length = plan_.in[0] * plan_.in[1];
  row.step = 1;
  row.start = first * plan_.in[1];
  row.count = rows * plan_.pitch;
  row.out = out;
  if (plan_.inStride[0] > 1) {
    row.piece = plan_.in[1];
    row.pieceStep = plan_.in[1] * plan_.inStride[0];
  }
  kernels_.gather(row);
}

void ConvRun::finishBlock(const Chunk& chunk, int64_t block, float* sums, float* line) const {
  if (plan_.outStride[0] > 1 || plan_.outStride[1] > 1) return finishPhases(chunk, block, sums, line);
  const int64_t channels = channelsOf(plan_, block);
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t channel = chunk.group * plan_.outputs + block * plan_.channelBlock + c;
    float* const row = sums + c * plan_.width;
    if (plan_.chunks[1] == 1 && plan_.sumPitch == plan_.positions[1]) {
      // Whole output rows without gaps between them.
      finish(chunk, channel, chunk.first[0], 0, row, chunk.count[0] * chunk.count[1]);
      continue;
    }
    for (int64_t q = 0; q < chunk.count[0]; ++q) {
      finish(chunk, channel, chunk.first[0] + q, chunk.first[1], row + q * plan_.sumPitch, chunk.count[1]);
    }
  }
}

// Sums hold [class][channel][phase of the class][width]; zeros stand behind the line.
void ConvRun::finishPhases(const Chunk& chunk, int64_t block, const float* sums, float* line) const {
  const int64_t channels = channelsOf(plan_, block);
  const std::vector<int64_t>&rowResidues = plan_.residues[0], &columnResidues = plan_.residues[1];
  const float* const zeros = line + lineFloats_;
  std::vector<const float*> rows(static_cast<size_t>(plan_.outStride[1]), zeros);
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t channel = chunk.group * plan_.outputs + block * plan_.channelBlock + c;
    for (int64_t q = 0; q < chunk.count[0]; ++q) {
      const int64_t start = (plan_.firstQ[0] + chunk.first[0] + q) * plan_.outStride[0] - plan_.crop[0];
      const int64_t first = std::max(-start, int64_t{0}), last = std::min(plan_.outStride[0], plan_.out[0] - start);
      size_t row = static_cast<size_t>(std::ranges::lower_bound(rowResidues, first) - rowResidues.begin());
      for (int64_t phase = first; phase < last; ++phase) {
        const bool sees = row < rowResidues.size() && rowResidues[row] == phase;
        for (size_t r = 0; r < columnResidues.size(); ++r) {
          const PhaseRow& at = phaseRows_[(sees ? row : 0) * columnResidues.size() + r];
          rows[static_cast<size_t>(columnResidues[r])] =
              sees ? sums + (channels * at.before + c * at.perChannel + at.index) * plan_.width + q * plan_.sumPitch : zeros;
        }
        row += sees;
        finishRow(chunk, channel, start + phase, rows.data(), line);
      }
    }
  }
}

// One output row from the sums of its column phases.
void ConvRun::finishRow(const Chunk& chunk, int64_t channel, int64_t outRow, const float* const* rows, float* line) const {
  const int64_t stride = plan_.outStride[1];
  kernels_.interleave(rows, static_cast<int>(stride), chunk.count[1], line);
  const int64_t start = (plan_.firstQ[1] + chunk.first[1]) * stride - plan_.crop[1];
  const int64_t first = std::max(start, int64_t{0});
  const int64_t last = std::min(start + chunk.count[1] * stride, plan_.out[1]);
  if (first < last) finish(chunk, channel, outRow, first, line + (first - start), last - first);
}

void ConvRun::finish(const Chunk& chunk, int64_t channel, int64_t outRow, int64_t outColumn, float* sums, int64_t count) const {
  kernels_.finish(operands_.output(chunk.image, channel, outRow * plan_.out[1] + outColumn, sums, count));
}

// A transformed tile spreads a non-finite input over up to three dilations; neighbours this far may see it.
constexpr int64_t kNonFiniteReach = 8;
constexpr int64_t kSerialElements = 8 * 1024;  // too few to be worth a parallel loop

template <class Bits>
bool exponentsFinite(const Bits* values, int64_t count, Bits exponent) {
  for (int64_t start = 0; start < count; start += 4096) {
    const int64_t end = std::min(start + 4096, count);
    Bits found = 0;
    for (int64_t i = start; i < end; ++i) found |= (values[i] & exponent) == exponent;
    if (found) return false;
  }
  return true;
}

// Each task looks at its part of every row: the part that the same thread most likely wrote, and will read.
template <class Bits>
bool rowsFinite(const core::Tensor& x, const core::Rows& rows, Bits exponent, Pool& pool) {
  const Bits* const values = dataOf<Bits>(x) + rows.start;
  const int64_t count = x.shape[0] * x.shape[1], length = x.shape[2], pitch = rows.pitch == 0 ? length : rows.pitch;
  const int64_t parts = count * length < kSerialElements ? 1 : pool.threads();
  std::atomic<bool> finite{true};
  pool.parallelFor(parts, [&](int64_t part, int) {
    const int64_t first = length * part / parts, last = length * (part + 1) / parts;
    for (int64_t r = 0; r < count && finite.load(std::memory_order_relaxed); ++r) {
      if (!exponentsFinite<Bits>(values + r * pitch + first, last - first, exponent)) finite.store(false, std::memory_order_relaxed);
    }
  });
  return finite;
}

bool allFinite(const core::Tensor& x, const core::Rows& rows, Pool& pool) {
  switch (x.dtype) {
    case core::DType::kFloat16:
      return rowsFinite<uint16_t>(x, rows, 0x7c00, pool);
    case core::DType::kBFloat16:
      return rowsFinite<uint16_t>(x, rows, 0x7f80, pool);
    default:
      return rowsFinite<uint32_t>(x, rows, 0x7f800000, pool);
  }
}

}  // namespace

void conv(const core::ConvOp& op, Pool& pool) {
  if (winogradServes(op) && (3 * op.dilation[1] <= kNonFiniteReach || allFinite(op.x, op.xRows, pool))) return convWinograd(op, pool);
  ConvRun(op, pool)();
}

}  // namespace weightnorm::cpu
