#include "metal/metal_ops.h"
#include "metal/mps.h"

namespace weightnorm::metal {

namespace {

constexpr int64_t kFewRows = 8;
constexpr int64_t kFewTiles = 64;
constexpr uint32_t kGemmThreads = 128;

struct LinearParams {  // kernels/linear.metal
  uint64_t rows;
  uint32_t K, outputs, biasType, alphaType;
  float postParam;
  uint32_t aligned;
};

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Everything but the two factors of the product.
Dispatch& bindEpilogue(Dispatch& dispatch, const core::LinearOp& op, const LinearParams& params) {
  return dispatch.input(2, op.bias).input(3, op.scale).input(4, op.post.alpha).output(5, op.y).value(6, params);
}

}  // namespace

void encode(Encoder& encoder, const core::LinearOp& op) {
  const int64_t K = op.weight.shape[1], outputs = op.weight.shape[0], rows = op.x.size() / K;
  const LinearParams params{static_cast<uint64_t>(rows),
                            static_cast<uint32_t>(K),
                            static_cast<uint32_t>(outputs),
                            static_cast<uint32_t>(op.bias.dtype),
                            static_cast<uint32_t>(op.post.alpha.dtype),
                            op.post.param,
                            K % 4 == 0};
  const Constants constants = Constants()
                                  .set(0, !op.scale              ? 0u
                                          : op.scale.size() == 1 ? 1u
                                                                 : 2u)
                                  .set(1, static_cast<bool>(op.bias))
                                  .set(2, static_cast<uint32_t>(op.post.kind))
                                  .set(3, op.post.logScale);
  if (!op.direct && mpsServes(encoder, op.x.dtype, rows, outputs, K)) {
    if (!op.scale && !op.bias && op.post.kind == core::Act::kNone) {
      return mpsProduct(encoder, op.x, op.weight, true, {&op.y, nullptr, Access::kWrite}, rows, outputs, K);
    }
    const Memory product = encoder.memory(op.y.bytes());
    mpsProduct(encoder, op.x, op.weight, true, {nullptr, product.get(), Access::kWrite}, rows, outputs, K);
    const Pipeline& pipeline = encoder.pipeline("linear", "linear_finish", constants);
    const Launch launch = metal::rows(pipeline, static_cast<uint64_t>(rows), static_cast<uint64_t>(outputs));
    Dispatch dispatch(encoder, pipeline);
    bindEpilogue(dispatch.bind(0, *product, Access::kRead), op, params).threads(launch.grid, launch.group);
    return;
  }
  if (!op.direct && rows <= kFewRows) {
    const Pipeline& pipeline = encoder.pipeline("linear", kernelName("linear_few", op.x.dtype), constants);
    const uint32_t simdgroups = std::min(8u, pipeline.maxThreads / 32);
    Dispatch dispatch(encoder, pipeline);
    bindEpilogue(dispatch.input(0, op.x).input(1, op.weight), op, params)
        .groups(MTLSizeMake(static_cast<NSUInteger>(ceilDiv(outputs, simdgroups)), 1, 1), MTLSizeMake(32 * simdgroups, 1, 1));
    return;
  }
  const bool large = !op.direct && ceilDiv(rows, 64) * ceilDiv(outputs, 64) >= kFewTiles;
  const int64_t tile = large ? 64 : 32;
  const Pipeline& pipeline = encoder.pipeline("linear", kernelName(large ? "linear_gemm_64" : "linear_gemm_32", op.x.dtype), constants);
  Dispatch dispatch(encoder, pipeline);
  bindEpilogue(dispatch.input(0, op.x).input(1, op.weight), op, params)
      .groups(MTLSizeMake(static_cast<NSUInteger>(ceilDiv(outputs, tile)), static_cast<NSUInteger>(ceilDiv(rows, tile)), 1),
              MTLSizeMake(kGemmThreads, 1, 1));
}

}  // namespace weightnorm::metal
