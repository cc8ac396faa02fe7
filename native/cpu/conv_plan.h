#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/ops.h"
#include "cpu/chunks.h"
#include "cpu/conv_kernels.h"

namespace weightnorm::cpu {

// One element of the kernel as seen by prepared input: which plane and how far into it.
struct ConvTap {
  int plane;
  std::array<int64_t, 2> shift;  // planar rows, columns
};

// Output phases that read the same taps. A convolution has one class with the phase {0, 0}; a transposed one has a
// class for each set of its phases whose outputs see the input at the same shifts. Phases that see no input, of a stride
// longer than the kernel, are in no class.
struct ConvClass {
  struct Phase {
    std::array<int64_t, 2> at;    // output index modulo the stride, before the crop
    std::vector<int64_t> kernel;  // the kernel element (kh · kW + kw) behind each tap
  };
  std::vector<Phase> phases;
  std::vector<ConvTap> taps;
};

// How one convolution is laid out, and cut up for some number of threads. Every convolution becomes sums over (input channel, tap) of
// weight · plane[shift + j], where the planes of an input channel are its rows and columns by residue of the stride
// and j counts output positions of a chunk row by row, `pitch` apart. Pairs are {height, width}.
struct ConvPlan {
  ConvPlan(const core::ConvOp& op, const ConvKernels& kernels, int threads);

  int64_t batch, groups, inputs, outputs;      // channels of one group
  std::array<int64_t, 2> in, out, kernel;      // sizes
  std::array<int64_t, 2> inStride, outStride;  // one of them is the convolution's stride, the other 1
  std::array<int64_t, 2> begin;                // input index of planar position 0 is −begin
  std::array<int64_t, 2> crop, firstQ;         // output index = (firstQ + q) · outStride + phase − crop
  std::array<int64_t, 2> positions;            // planar output positions q of each axis
  std::vector<ConvClass> classes;
  std::vector<std::array<int64_t, 2>> planes;    // residues of the input stride
  std::array<std::vector<int64_t>, 2> residues;  // output indices modulo outStride that see any input, ascending
  int64_t phases;                                // residues[0] · residues[1]: of all classes

  std::array<int64_t, 2> chunk;             // planar output positions of one chunk
  std::array<int64_t, 2> chunks;            // how many
  std::array<int64_t, 2> reach;             // the largest tap shifts
  int64_t pitch, planeSize, channelStride;  // of prepared input, in floats
  int64_t sumPitch;                         // from one output row of a chunk to the next in its sums: pitch, or whole vectors
  int64_t width;                            // sums of one row: positions of a chunk rounded up to whole vectors
  int64_t channelBlock;                     // output channels computed together
  int64_t channelBlocks;
  ConvTasks tasks;
};

}  // namespace weightnorm::cpu
