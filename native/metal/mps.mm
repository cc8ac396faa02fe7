#include "metal/mps.h"

#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <cstdlib>
#include <cstring>

#include "metal/metal_device.h"

namespace weightnorm::metal {

namespace {

// Below this an own kernel with its epilogue beats a product, a barrier and a second pass.
constexpr int64_t kLargeProduct = int64_t{1} << 24;
constexpr int64_t kLargeSide = 64;

MPSMatrix* matrix(id<MTLBuffer> buffer, int64_t rows, int64_t columns) {
  MPSMatrixDescriptor* descriptor = [MPSMatrixDescriptor matrixDescriptorWithRows:static_cast<NSUInteger>(rows)
                                                                          columns:static_cast<NSUInteger>(columns)
                                                                         rowBytes:static_cast<NSUInteger>(columns) * sizeof(float)
                                                                         dataType:MPSDataTypeFloat32];
  return [[MPSMatrix alloc] initWithBuffer:buffer descriptor:descriptor];
}

}  // namespace

bool mpsServes(Encoder& encoder, core::DType dtype, int64_t m, int64_t n, int64_t k) {
  const char* wanted = std::getenv("WEIGHTNORM_MPS");
  if (wanted && std::strcmp(wanted, "0") == 0) return false;
  if (dtype != core::DType::kFloat32 || m < kLargeSide || n < kLargeSide || k < kLargeSide) return false;
  return m * n >= kLargeProduct / k && MPSSupportsMTLDevice(encoder.device().handle());
}

void mpsProduct(Encoder& encoder, const core::Tensor& a, const core::Tensor& b, bool transposeB, const Encoder::Use& result, int64_t m,
                int64_t n, int64_t k) {
  encoder.external({{&a, nullptr, Access::kRead}, {&b, nullptr, Access::kRead}, result}, [&](id<MTLCommandBuffer> commandBuffer) {
    MPSMatrixMultiplication* product = [[MPSMatrixMultiplication alloc] initWithDevice:encoder.device().handle()
                                                                         transposeLeft:NO
                                                                        transposeRight:transposeB
                                                                            resultRows:static_cast<NSUInteger>(m)
                                                                         resultColumns:static_cast<NSUInteger>(n)
                                                                       interiorColumns:static_cast<NSUInteger>(k)
                                                                                 alpha:1.0
                                                                                  beta:0.0];
    if (!product)
      throw core::Error(core::Code::kExecution, "Metal Performance Shaders refused a matrix product; WEIGHTNORM_MPS=0 does without them");
    MetalBuffer& target = result.tensor ? metalBuffer(*result.tensor) : *result.memory;
    MPSMatrix* left = matrix(metalBuffer(a).handle(), m, k);
    MPSMatrix* right = transposeB ? matrix(metalBuffer(b).handle(), n, k) : matrix(metalBuffer(b).handle(), k, n);
    MPSMatrix* sum = matrix(target.handle(), m, n);
    [product encodeToCommandBuffer:commandBuffer leftMatrix:left rightMatrix:right resultMatrix:sum];
    for (id object : {(id)product, (id)left, (id)right, (id)sum}) encoder.keep(object);
  });
}

}  // namespace weightnorm::metal
