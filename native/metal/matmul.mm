#include <algorithm>

#include "metal/metal_ops.h"
#include "metal/mps.h"

namespace weightnorm::metal {

namespace {

constexpr int kBatchAxes = core::kMaxRank - 2;
constexpr int64_t kFewTiles = 64;
constexpr uint32_t kGemmThreads = 128;

struct MatmulParams {  // kernels/matmul.metal
  uint64_t batchSize[kBatchAxes], batchStrideA[kBatchAxes], batchStrideB[kBatchAxes];
  uint32_t M, N, K, alignedA, alignedB, unused;
};

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Element strides of `shape`'s leading axes, right-aligned to kBatchAxes; 0 where it is broadcast.
void batchStrides(const core::Shape& shape, uint64_t* strides) {
  const auto own = shape.strides();
  for (int i = 0; i < shape.rank() - 2; ++i) {
    if (shape[i] != 1) strides[kBatchAxes - (shape.rank() - 2) + i] = static_cast<uint64_t>(own[static_cast<size_t>(i)]);
  }
}

}  // namespace

void encode(Encoder& encoder, const core::MatmulOp& op) {
  const core::Shape &a = op.a.shape, &b = op.b.shape, &y = op.y.shape;
  const int64_t K = a[a.rank() - 1], N = b[b.rank() - 1];
  int64_t M = a[a.rank() - 2], batches = op.y.size() / (M * N);
  MatmulParams params{};
  std::fill_n(params.batchSize, kBatchAxes, 1);
  if (op.b.size() == K * N && op.a.size() == batches * M * K && batches * M <= INT32_MAX) {
    M *= batches;  // one matrix b for all of a: a taller product
    batches = 1;
  } else {
    for (int i = 0; i < y.rank() - 2; ++i) params.batchSize[kBatchAxes - (y.rank() - 2) + i] = static_cast<uint64_t>(y[i]);
    batchStrides(a, params.batchStrideA);
    batchStrides(b, params.batchStrideB);
  }
  if (batches == 1 && mpsServes(encoder, op.a.dtype, M, N, K)) {
    return mpsProduct(encoder, op.a, op.b, false, {&op.y, nullptr, Access::kWrite}, M, N, K);
  }
  params.M = static_cast<uint32_t>(M);
  params.N = static_cast<uint32_t>(N);
  params.K = static_cast<uint32_t>(K);
  params.alignedA = K % 4 == 0;
  params.alignedB = N % 4 == 0;
  const bool large = batches * ceilDiv(M, 64) * ceilDiv(N, 64) >= kFewTiles;
  const int64_t tile = large ? 64 : 32;
  const Pipeline& pipeline = encoder.pipeline("matmul", kernelName(large ? "matmul_64" : "matmul_32", op.a.dtype));
  Dispatch(encoder, pipeline)
      .input(0, op.a)
      .input(1, op.b)
      .output(2, op.y)
      .value(3, params)
      .groups(MTLSizeMake(static_cast<NSUInteger>(ceilDiv(N, tile)), static_cast<NSUInteger>(ceilDiv(M, tile)),
                          static_cast<NSUInteger>(batches)),
              MTLSizeMake(kGemmThreads, 1, 1));
}

}  // namespace weightnorm::metal
