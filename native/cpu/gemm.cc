#include "cpu/gemm.h"

#include <algorithm>

#include "cpu/chunks.h"
#include "cpu/operands.h"
#include "cpu/prefetch.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

// Rows that share one pass over the panels: few, so that they and what they become stay near, unless all threads would fetch the
// panels from memory.
constexpr int64_t kNearRows = 64, kFarRows = 192;
constexpr int64_t kNearPanelFloats = int64_t{8} << 20;
constexpr int64_t kPieceRows = 64;                   // a multiple of the rows of a row block
constexpr int64_t kPackedFloats = int64_t{1} << 20;  // of the left side, to stay in a cache
constexpr int64_t kPanelFloats = 6 * 1024;           // of a panel's block, to stay in the first-level cache
constexpr int kMostRows = 8;                         // of a row block, on any instruction set

// The part of `finish` that starts at column `first`.
FinishColumns columnsFrom(const FinishColumns& finish, int64_t first) {
  FinishColumns part = finish;
  if (part.scale) part.scale += first;
  if (part.bias) part.bias += first;
  if (part.alpha) part.alpha += first;
  return part;
}

class GemmRun {
 public:
  GemmRun(const Gemm& job, Pool& pool) : job_(job), pool_(pool) {
    const int64_t most = panelFloats(job.columns, job.terms) > kNearPanelFloats ? kFarRows : kNearRows;
    const int64_t fit = kPackedFloats / job.terms / kernels_.rows * kernels_.rows;
    rowChunk_ = std::min(job.rows, std::clamp(fit, static_cast<int64_t>(kernels_.rows), most));
    rowChunks_ = divideUp(job.rows, rowChunk_);
    panels_ = divideUp(job.columns, width_);
    const int64_t chunks = rowChunks_ * static_cast<int64_t>(job.products.size());
    const int64_t wanted = pool.threads() == 1 ? 1 : 4 * pool.threads();
    splits_ = std::clamp(divideUp(wanted, chunks), int64_t{1}, panels_);
    for (int64_t t = 0; t < std::min(kPanelFloats / width_, kSumBlock); ++t) offsets_.push_back(static_cast<int32_t>(t * width_));
    packedFloats_ = divideUp(rowChunk_, kernels_.rows) * kernels_.rows * job.terms;
    sumsFloats_ = rowChunk_ * width_;
  }

  void operator()(core::Device& device) const {
    const Scratch scratch(device, pool_.threads(), packedFloats_ + sumsFloats_ + kMostRows * job_.terms);
    const int64_t tasks = static_cast<int64_t>(job_.products.size()) * rowChunks_ * splits_;
    std::vector<int64_t> packed(static_cast<size_t>(pool_.threads()), -1);  // the rows that each thread has packed
    pool_.parallelFor(tasks, [&](int64_t index, int worker) {
      const int64_t chunk = index / splits_;
      int64_t& last = packed[static_cast<size_t>(worker)];
      task(chunk, index % splits_, last != chunk, scratch.of(worker));
      last = chunk;
    });
  }

  int blockAt(int64_t rows, int64_t row) const {
    int block = kernels_.rows;
    while (block > rows - row) block /= 2;
    return block;
  }

  // Rows of the left side as [row block][term][row], float32.
  void packRows(const std::byte* a, int64_t rows, float* packed, float* lines) const {
    const float* from[kMostRows];
    for (int64_t row = 0; row < rows;) {
      const int block = blockAt(rows, row);
      for (int r = 0; r < block; ++r) {
        const std::byte* line = a + static_cast<uint64_t>((row + r) * job_.terms) * sizeOf(job_.dtype);
        from[r] = reinterpret_cast<const float*>(line);
        if (job_.dtype == core::DType::kFloat32) continue;
        get_vecTable().convert(line, job_.dtype, lines + r * job_.terms, core::DType::kFloat32, job_.terms);
        from[r] = lines + r * job_.terms;
      }
      kernels_.interleave(from, block, job_.terms, packed);
      packed += job_.terms * block;
      row += block;
    }
  }

 private:
  void task(int64_t chunk, int64_t split, bool packs, float* scratch) const {
    const Gemm::Product& product = job_.products[static_cast<size_t>(chunk / rowChunks_)];
    const int64_t firstRow = chunk % rowChunks_ * rowChunk_;
    const int64_t rows = std::min(rowChunk_, job_.rows - firstRow);
    const uint64_t size = sizeOf(job_.dtype);
    float* const sums = scratch + packedFloats_;
    if (packs) packRows(product.a + static_cast<uint64_t>(firstRow * job_.terms) * size, rows, scratch, sums + sumsFloats_);
    for (int64_t panel = panels_ * split / splits_; panel < panels_ * (split + 1) / splits_; ++panel) {
      const int64_t column = panel * width_;
      FinishColumns row = columnsFrom(job_.finish, column);
      row.count = std::min(width_, job_.columns - column);
      row.dtype = job_.dtype;
      row.sum = sums;
      row.sumStride = width_;
      row.yStride = job_.columns;
      // With one block of terms, sums are finished while they are in the first-level cache.
      const int64_t piece = job_.terms <= static_cast<int64_t>(offsets_.size()) ? kPieceRows : rows;
      for (int64_t r = 0; r < rows; r += piece) {
        row.rows = std::min(piece, rows - r);
        row.y = product.y + static_cast<uint64_t>((firstRow + r) * job_.columns + column) * size;
        multiplyPanel(product.panels + panel * width_ * job_.terms, scratch + r * job_.terms, row);
        gemmKernels_.finishColumns(row);
      }
    }
  }

  // One block of terms of the panel against every row, while it is in the first-level cache. What is needed next is fetched
  // meanwhile: the block behind it, and y before the last.
  void multiplyPanel(const float* panel, const float* packed, const FinishColumns& to) const {
    const int64_t depth = static_cast<int64_t>(offsets_.size()), used = roundUp(to.count, kernels_.lanes);
    const int64_t bytes = static_cast<int64_t>(sizeOf(to.dtype));
    for (int64_t k = 0; k < job_.terms; k += depth) {
      const int64_t terms = std::min(depth, job_.terms - k);
      const float* const next = panel + (k + terms) * width_;
      for (int64_t row = 0; row < to.rows;) {
        const int block = blockAt(to.rows, row);
        for (int r = 0; r < block && k + terms == job_.terms; ++r) {
          std::byte* const y = static_cast<std::byte*>(to.y) + (row + r) * to.yStride * bytes;
          fetchToWrite(reinterpret_cast<float*>(y), to.count * bytes / static_cast<int64_t>(sizeof(float)));
        }
        kernels_.multiplyBeside(panel + k * width_, offsets_.data(), terms, packed + row * job_.terms + k * block, block,
                                to.sum + row * width_, width_, used, k > 0,
                                {next + row * terms * width_ / to.rows, block * width_ / to.rows});
        row += block;
      }
    }
  }

  const Gemm& job_;
  Pool& pool_;
  const ConvKernels& kernels_ = get_convKernels();
  const GemmKernels& gemmKernels_ = get_gemmKernels();
  const int64_t width_ = panelWidth();
  int64_t rowChunk_, rowChunks_, panels_, splits_, packedFloats_, sumsFloats_;
  std::vector<int32_t> offsets_;  // of the terms of one block
};

}  // namespace

void gemm(const Gemm& job, core::Device& device, Pool& pool) {
  GemmRun(job, pool)(device);
}

void gemmSkinny(const Gemm& job, const float* b, core::Device& device, Pool& pool) {
  const ConvKernels& kernels = get_convKernels();
  const GemmRun packer(job, pool);
  constexpr int64_t kColumns = 512;
  const int64_t chunks = divideUp(job.columns, kColumns), lanes = kernels.lanes;
  const Scratch a(device, 1, job.rows * job.terms + kMostRows * job.terms);
  packer.packRows(job.products[0].a, job.rows, a.of(0), a.of(0) + job.rows * job.terms);
  std::vector<int32_t> offsets, tailOffsets;
  for (int64_t t = 0; t < kSumBlock; ++t) {
    offsets.push_back(static_cast<int32_t>(t * job.columns));
    tailOffsets.push_back(static_cast<int32_t>(t * lanes));
  }
  const Scratch scratch(device, pool.threads(), job.rows * kColumns + kSumBlock * lanes);
  pool.parallelFor(chunks, [&](int64_t chunk, int worker) {
    const int64_t first = chunk * kColumns, count = std::min(kColumns, job.columns - first), whole = count / lanes * lanes;
    float* const sums = scratch.of(worker);
    float* const tail = sums + job.rows * kColumns;
    for (int64_t k = 0; k < job.terms; k += kSumBlock) {
      const int64_t terms = std::min(kSumBlock, job.terms - k);
      const float* x = b + k * job.columns + first;
      if (whole < count) get_gemmKernels().packPanel(x + whole, core::DType::kFloat32, job.columns, terms, count - whole, tail, lanes);
      for (int64_t row = 0; row < job.rows;) {
        const int block = packer.blockAt(job.rows, row);
        const float* w = a.of(0) + row * job.terms + k * block;
        float* const to = sums + row * kColumns;
        if (whole > 0) kernels.multiply(x, offsets.data(), terms, w, block, to, kColumns, whole, k > 0);
        if (whole < count) kernels.multiply(tail, tailOffsets.data(), terms, w, block, to + whole, kColumns, lanes, k > 0);
        row += block;
      }
    }
    FinishColumns row = columnsFrom(job.finish, first);
    row.count = count;
    row.dtype = job.dtype;
    row.sum = sums;
    row.rows = job.rows;
    row.sumStride = kColumns;
    row.y = job.products[0].y + static_cast<uint64_t>(first) * sizeOf(job.dtype);
    row.yStride = job.columns;
    get_gemmKernels().finishColumns(row);
  });
}

void gemv(const std::vector<Gemv>& jobs, core::Device& device, Pool& pool) {
  // About 128 KiB of weights a task.
  const Gemv& like = jobs.front();
  const int64_t outputs = std::clamp<int64_t>((int64_t{1} << 15) / like.terms, 16, 4096) / 16 * 16;
  const int64_t pieces = divideUp(like.outputs, outputs);
  const Scratch scratch(device, pool.threads(), kDotRows * outputs);
  pool.parallelFor(pieces * static_cast<int64_t>(jobs.size()), [&](int64_t index, int worker) {
    const Gemv& job = jobs[static_cast<size_t>(index / pieces)];
    const int64_t first = index % pieces * outputs;
    FinishColumns row = columnsFrom(job.finish, first);
    row.count = std::min(outputs, job.outputs - first);
    const GemmKernels& kernels = get_gemmKernels();
    float* const sums = scratch.of(worker);
    kernels.dot(job.x, job.rows, job.weights + static_cast<uint64_t>(first * job.terms) * sizeOf(job.weightsType), job.weightsType,
                row.count, job.terms, sums, outputs);
    row.sum = sums;
    row.rows = job.rows;
    row.sumStride = outputs;
    row.y = job.y + static_cast<uint64_t>(first) * sizeOf(row.dtype);
    row.yStride = job.outputs;
    kernels.finishColumns(row);
  });
}

}  // namespace weightnorm::cpu
