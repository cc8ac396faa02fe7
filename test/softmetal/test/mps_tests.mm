// Matrix products of Metal Performance Shaders.
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

#include <random>

#include "gpu.h"

static MPSMatrix* matrix(id<MTLBuffer> buffer, NSUInteger rows, NSUInteger columns, NSUInteger rowBytes,
                         MPSDataType type = MPSDataTypeFloat32, NSUInteger offset = 0) {
  return [[MPSMatrix alloc] initWithBuffer:buffer
                                    offset:offset
                                descriptor:[MPSMatrixDescriptor matrixDescriptorWithRows:rows
                                                                                 columns:columns
                                                                                rowBytes:rowBytes
                                                                                dataType:type]];
}

template <class T>
static void checkProduct(bool transposeLeft, bool transposeRight, double alpha, double beta, MPSDataType type) {
  constexpr NSUInteger m = 5, n = 7, k = 9, pad = 3;
  const NSUInteger aRows = transposeLeft ? k : m, aColumns = transposeLeft ? m : k, bRows = transposeRight ? n : k,
                   bColumns = transposeRight ? k : n;
  std::mt19937 random(7);
  std::vector<T> a(aRows * (aColumns + pad)), b(bRows * (bColumns + pad)), c(m * (n + pad));
  for (auto* values : {&a, &b, &c})
    for (T& x : *values) x = (T)((int)(random() % 9) - 4);
  id<MTLBuffer> result = gpu::buffer(c);
  const std::string error = gpu::submit([&](id<MTLCommandBuffer> commands) {
    MPSMatrixMultiplication* product = [[MPSMatrixMultiplication alloc] initWithDevice:gpu::device()
                                                                         transposeLeft:transposeLeft
                                                                        transposeRight:transposeRight
                                                                            resultRows:m
                                                                         resultColumns:n
                                                                       interiorColumns:k
                                                                                 alpha:alpha
                                                                                  beta:beta];
    [product encodeToCommandBuffer:commands
                        leftMatrix:matrix(gpu::buffer(a), aRows, aColumns, (aColumns + pad) * sizeof(T), type)
                       rightMatrix:matrix(gpu::buffer(b), bRows, bColumns, (bColumns + pad) * sizeof(T), type)
                      resultMatrix:matrix(result, m, n, (n + pad) * sizeof(T), type)];
  });
  CHECK_EQUAL(error, "");
  const auto got = gpu::values<T>(result);
  for (NSUInteger i = 0; i < m; i++)
    for (NSUInteger j = 0; j < n + pad; j++) {
      double wanted = (double)c[i * (n + pad) + j];
      if (j < n) {
        double sum = 0;
        for (NSUInteger p = 0; p < k; p++) {
          const double x = transposeLeft ? a[p * (aColumns + pad) + i] : a[i * (aColumns + pad) + p];
          const double y = transposeRight ? b[j * (bColumns + pad) + p] : b[p * (bColumns + pad) + j];
          sum += x * y;
        }
        wanted = alpha * sum + (beta != 0 ? beta * wanted : 0);
      }
      CHECK_EQUAL((double)got[i * (n + pad) + j], wanted);
    }
}
TEST(products_of_float_matrices) {
  for (int transposed = 0; transposed < 4; transposed++) checkProduct<float>(transposed & 1, transposed & 2, 1, 0, MPSDataTypeFloat32);
  checkProduct<float>(false, true, 0.5, 2, MPSDataTypeFloat32);
}
TEST(products_of_half_matrices) {
  checkProduct<_Float16>(false, true, 1, 1, MPSDataTypeFloat16);
}

TEST(products_ignore_an_uninitialised_result_unless_beta_needs_it) {
  for (double beta : {0.0, 1.0}) {
    id<MTLBuffer> a = gpu::buffer(std::vector<float>(64, 1)), result = gpu::emptyBuffer(256);
    const std::string error = gpu::submit([&](id<MTLCommandBuffer> commands) {
      MPSMatrixMultiplication* product = [[MPSMatrixMultiplication alloc] initWithDevice:gpu::device()
                                                                           transposeLeft:NO
                                                                          transposeRight:NO
                                                                              resultRows:8
                                                                           resultColumns:8
                                                                         interiorColumns:8
                                                                                   alpha:1
                                                                                    beta:beta];
      [product encodeToCommandBuffer:commands
                          leftMatrix:matrix(a, 8, 8, 32)
                         rightMatrix:matrix(a, 8, 8, 32)
                        resultMatrix:matrix(result, 8, 8, 32)];
    });
    CHECK_CONTAINS(error, beta ? "uninitialised" : "");
    gpu::takeViolations();
  }
}
TEST(matrix_rules) {
  id<MTLBuffer> buffer = gpu::emptyBuffer(256);
  (void)matrix(buffer, 8, 8, 28);
  CHECK_CONTAINS(gpu::takeViolations(), "rowBytes 28 is too small");
  (void)matrix(buffer, 8, 8, 36);
  CHECK_CONTAINS(gpu::takeViolations(), "the buffer holds 256 bytes");
  (void)matrix(buffer, 1, 8, 32, MPSDataTypeFloat32, 2);
  CHECK_CONTAINS(gpu::takeViolations(), "offset 2 is not a multiple");
  (void)matrix(buffer, 4, 8, 16, (MPSDataType)(MPSDataTypeAlternateEncodingBit | MPSDataTypeFloat16));
  CHECK_CONTAINS(gpu::takeViolations(), "not bfloat16");
  CHECK(matrix(buffer, 7, 8, 32, MPSDataTypeFloat32, 32) != nil);
  CHECK_EQUAL([MPSMatrixDescriptor rowBytesForColumns:5 dataType:MPSDataTypeFloat32], 32u);
  gpu::takeViolations();
}
TEST(products_need_fitting_matrices_and_no_open_encoder) {
  id<MTLBuffer> buffer = gpu::buffer(std::vector<float>(64));
  MPSMatrixMultiplication* product = [[MPSMatrixMultiplication alloc] initWithDevice:gpu::device()
                                                                          resultRows:8
                                                                       resultColumns:8
                                                                     interiorColumns:8];
  gpu::submit([&](id<MTLCommandBuffer> commands) {
    id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
    [product encodeToCommandBuffer:commands
                        leftMatrix:matrix(buffer, 8, 8, 32)
                       rightMatrix:matrix(buffer, 8, 8, 32)
                      resultMatrix:matrix(buffer, 8, 8, 32)];
    CHECK_CONTAINS(gpu::takeViolations(), "a command encoder is already encoding");
    [encoder endEncoding];
    [product encodeToCommandBuffer:commands
                        leftMatrix:matrix(buffer, 4, 8, 32)
                       rightMatrix:matrix(buffer, 8, 8, 32)
                      resultMatrix:matrix(buffer, 8, 8, 32)];
    CHECK_CONTAINS(gpu::takeViolations(), "the left matrix is 4 x 8, 8 x 8 at its origin are needed");
  });
}
TEST(mps_knows_its_devices) {
  CHECK(MPSSupportsMTLDevice(gpu::device()) && !MPSSupportsMTLDevice(nil));
  softmetal_set("family", 5);
  CHECK(!MPSSupportsMTLDevice(gpu::device()));
}
TEST(matrix_times_vector) {
  id<MTLBuffer> m = gpu::buffer<float>({1, 2, 3, 4, 5, 6}), v = gpu::buffer<float>({1, 1, 2}), out = gpu::emptyBuffer(8);
  CHECK_EQUAL(
      gpu::submit([&](id<MTLCommandBuffer> commands) {
        MPSMatrixVectorMultiplication* product = [[MPSMatrixVectorMultiplication alloc] initWithDevice:gpu::device() rows:2 columns:3];
        [product
            encodeToCommandBuffer:commands
                      inputMatrix:matrix(m, 2, 3, 12)
                      inputVector:[[MPSVector alloc] initWithBuffer:v
                                                         descriptor:[MPSVectorDescriptor vectorDescriptorWithLength:3
                                                                                                           dataType:MPSDataTypeFloat32]]
                     resultVector:[[MPSVector alloc] initWithBuffer:out
                                                         descriptor:[MPSVectorDescriptor vectorDescriptorWithLength:2
                                                                                                           dataType:MPSDataTypeFloat32]]];
      }),
      "");
  CHECK_EQUAL(gpu::values<float>(out)[1], 21.0f);
}
