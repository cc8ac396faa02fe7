#include "cpu/conv_pack.h"

#include <algorithm>

#include "cpu/packed.h"
#include "cpu/prefetch.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

// Input channels of a transposed weight are further apart than hardware fetches ahead.
constexpr int64_t kInputsAhead = 12;
constexpr int64_t kTermsAtOnce = 64;

// Terms per output channel of one class, over all its phases.
int64_t channelTerms(const ConvPlan& plan, const ConvClass& c) {
  return plan.inputs * static_cast<int64_t>(c.taps.size() * c.phases.size());
}

int64_t allTerms(const ConvPlan& plan) {
  int64_t terms = 0;
  for (const ConvClass& c : plan.classes) terms += channelTerms(plan, c);
  return terms;
}

struct Source {
  const float* weight;  // of the group
  int64_t outputStride, inputStride;
  bool inOrder;  // an output channel's weights are contiguous and in the order of the terms
};

void packClass(const ConvPlan& plan, const ConvClass& c, const ConvKernels& kernels, const Source& source, int64_t firstChannel,
               int64_t channels, float* out) {
  const int64_t taps = static_cast<int64_t>(c.taps.size());
  const int64_t phases = static_cast<int64_t>(c.phases.size());
  std::vector<int64_t> places;  // of the elements of one input channel in a row block
  for (int64_t row = 0; row < channels * phases;) {
    const int rows = rowBlock(channels * phases - row, kernels);
    if (source.inOrder) {
      const float* lines[8];
      for (int64_t term = 0; term < plan.inputs * taps; term += kTermsAtOnce) {
        const int64_t terms = std::min(kTermsAtOnce, plan.inputs * taps - term);
        for (int r = 0; r < rows; ++r) lines[r] = source.weight + (firstChannel + row + r) * source.outputStride + term;
        fetchToWrite(out + (term + terms) * rows, terms * rows);  // where the next terms go
        kernels.interleave(lines, rows, terms, out + term * rows);
      }
    } else if (taps > 0) {
      // Input channels outermost, as a transposed weight lies: each gives the same places, one input channel further.
      places.clear();
      for (int64_t t = 0; t < taps; ++t) {
        for (int r = 0; r < rows; ++r) {
          const int64_t channel = firstChannel + (row + r) / phases;
          places.push_back(channel * source.outputStride +
                           c.phases[static_cast<size_t>((row + r) % phases)].kernel[static_cast<size_t>(t)]);
        }
      }
      const auto [least, most] = std::minmax_element(places.begin(), places.end());
      const float* w = source.weight;
      float* to = out;
      for (int64_t i = 0; i < plan.inputs; ++i, w += source.inputStride, to += taps * rows) {
        const float* const ahead = w + kInputsAhead * source.inputStride;
        for (int64_t at = *least; at <= *most; at += kLineFloats) __builtin_prefetch(ahead + at);
        __builtin_prefetch(ahead + *most);
        for (size_t p = 0; p < places.size(); ++p) to[p] = w[places[p]];
      }
    }
    out += plan.inputs * taps * rows;
    row += rows;
  }
}

}  // namespace

int rowBlock(int64_t rows, const ConvKernels& kernels) {
  int block = kernels.rows;
  while (block > rows) block /= 2;
  return block;
}

int64_t channelsOf(const ConvPlan& plan, int64_t block) {
  return std::min(plan.channelBlock, plan.outputs - block * plan.channelBlock);
}

int64_t packedOffset(const ConvPlan& plan, int64_t group, int64_t block, size_t classIndex) {
  int64_t offset = (group * plan.outputs + block * plan.channelBlock) * allTerms(plan);
  for (size_t c = 0; c < classIndex; ++c) offset += channelsOf(plan, block) * channelTerms(plan, plan.classes[c]);
  return offset;
}

const float* packConv(const core::ConvOp& op, const ConvPlan& plan, const ConvKernels& kernels, Pool& pool) {
  PackKey key{'c',          kernels.rows,   op.transposed,  plan.groups,       plan.inputs,
              plan.outputs, plan.kernel[0], plan.kernel[1], plan.channelBlock, static_cast<int64_t>(op.weight.dtype)};
  if (op.transposed) key.insert(key.end(), {plan.outStride[0], plan.outStride[1], op.dilation[0], op.dilation[1]});
  const int64_t total = plan.groups * plan.outputs * allTerms(plan);
  // A transposed weight's rows are input channels.
  return packed(op.weight, op.transposed ? core::Tensor() : op.scale, key, total, [&](float* out, const auto& rowsRead) {
    const int64_t elements = plan.kernel[0] * plan.kernel[1];
    const int64_t perGroup = plan.inputs * plan.outputs * elements;
    const bool wide = op.weight.dtype == core::DType::kFloat32;
    // A transposed weight is [C, O / groups, kH, kW]: input channels outermost.
    const Source layout{nullptr, elements * (op.transposed ? 1 : plan.inputs), elements * (op.transposed ? plan.outputs : 1),
                        !op.transposed};
    std::vector<float> converted;
    const float* weight = dataOf<const float>(op.weight);
    if (!wide) {
      converted.resize(static_cast<size_t>(op.weight.size()));
      get_vecTable().convert(weight, op.weight.dtype, converted.data(), core::DType::kFloat32, op.weight.size());
      weight = converted.data();
    }
    pool.parallelFor(plan.groups * plan.channelBlocks, [&](int64_t index, int) {
      const int64_t group = index / plan.channelBlocks, block = index % plan.channelBlocks;
      Source source = layout;
      source.weight = weight + group * perGroup;
      const int64_t first = group * plan.outputs + block * plan.channelBlock;
      rowsRead(first, first + channelsOf(plan, block));
      for (size_t c = 0; c < plan.classes.size(); ++c) {
        packClass(plan, plan.classes[c], kernels, source, block * plan.channelBlock, channelsOf(plan, block),
                  out + packedOffset(plan, group, block, c));
      }
    });
  });
}

}  // namespace weightnorm::cpu
