// Matrix products of Metal Performance Shaders, encoded like any other work of a command buffer.
#include "../metal/internal.h"

#import "internal.h"
#include "product.h"

using softmetal::Element;
using softmetal::MatrixView;

BOOL MPSSupportsMTLDevice(id<MTLDevice> device) {
  return device && [device supportsFamily:MTLGPUFamilyMac2];
}

static Element elementOf(MPSDataType type) {
  switch ((uint32_t)type) {
    case MPSDataTypeFloat16:
      return Element::kHalf;
    case MPSDataTypeInt8:
      return Element::kInt8;
    case MPSDataTypeInt16:
      return Element::kInt16;
    default:
      return Element::kFloat;
  }
}

// One matrix or vector of the product: where it lies and how much of it is touched.
struct Operand {
  Reference buffer;
  NSUInteger offset, rowBytes, rows, rowLength;  // rowLength in bytes
  Element element;
  bool transposed;
};

static std::string touch(const Operand& operand, SMBuffer* buffer, Execution& state, bool write) {
  for (NSUInteger row = 0; row < operand.rows; row++) {
    const NSUInteger at = operand.offset + row * operand.rowBytes;
    std::string problem = write ? softmetal::bulkWrite(buffer->region.get(), at, operand.rowLength, state.ordering)
                                : softmetal::bulkRead(buffer->region.get(), at, operand.rowLength, state.ordering);
    if (!problem.empty()) return problem;
  }
  return "";
}

static void encodeProduct(SMCommandBuffer* buffer, Operand a, Operand b, Operand c, NSUInteger m, NSUInteger n, NSUInteger k, double alpha,
                          double beta) {
  softmetal::count([&](auto& counters) {
    counters.matrixProducts++;
    counters.matrixProductFlops += 2 * m * n * k;
  });
  for (const Operand& operand : {a, b, c}) [buffer uses:operand.buffer];
  [buffer add:[=](Execution& state) -> Failure {
    SMBuffer *left = a.buffer.get(), *right = b.buffer.get(), *result = c.buffer.get();
    if (!left || !right || !result) return {MTLCommandBufferErrorInvalidResource, "a matrix was released before the command buffer ran"};
    auto lock = softmetal::bulkLock();
    state.ordering.since = state.ordering.encoderStart = softmetal::nextEpoch();
    std::string problem = touch(a, left, state, false);
    if (problem.empty()) problem = touch(b, right, state, false);
    if (problem.empty() && beta != 0) problem = touch(c, result, state, false);
    if (!problem.empty()) {
      softmetal::recordViolation("MPS matrix product: " + problem);
      return {MTLCommandBufferErrorInternal, "MPS matrix product: " + problem};
    }
    // The product may read what it wrote: only the hazard with earlier work counts for the result.
    state.ordering.since = softmetal::nextEpoch();
    if (problem = touch(c, result, state, true); !problem.empty()) {
      softmetal::recordViolation("MPS matrix product: " + problem);
      return {MTLCommandBufferErrorInternal, "MPS matrix product: " + problem};
    }
    softmetal::multiply({left->region->base + a.offset, a.rowBytes, a.element, a.transposed},
                        {right->region->base + b.offset, b.rowBytes, b.element, b.transposed},
                        {result->region->base + c.offset, c.rowBytes, c.element, false}, m, n, k, (float)alpha, (float)beta);
    return {};
  }];
}

@implementation MPSKernel
@synthesize device = _device, options = _options, label = _label;
+ (BOOL)supportsSecureCoding {
  return YES;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device {
  if ((self = [super init])) {
    SM_VALID(MPSSupportsMTLDevice(device), "MPSKernel on a device that MPSSupportsMTLDevice refuses");
    _device = device;
  }
  return self;
}
- (id)copyWithZone:(NSZone*)zone {
  return self;
}
- (void)encodeWithCoder:(NSCoder*)coder {
  SM_VALID(false, "MPSKernel: coding is not supported");
}
- (instancetype)initWithCoder:(NSCoder*)coder {
  SM_VALID(false, "MPSKernel: coding is not supported");
  return nil;
}
@end

@implementation MPSMatrixMultiplication {
  bool _transposeLeft, _transposeRight;
  NSUInteger _rows, _columns, _interior;
  double _alpha, _beta;
}
@synthesize resultMatrixOrigin = _resultMatrixOrigin, leftMatrixOrigin = _leftMatrixOrigin, rightMatrixOrigin = _rightMatrixOrigin,
            batchStart = _batchStart, batchSize = _batchSize;
- (instancetype)initWithDevice:(id<MTLDevice>)device
                 transposeLeft:(BOOL)transposeLeft
                transposeRight:(BOOL)transposeRight
                    resultRows:(NSUInteger)rows
                 resultColumns:(NSUInteger)columns
               interiorColumns:(NSUInteger)interior
                         alpha:(double)alpha
                          beta:(double)beta {
  if (softmetal::takesTurn(softmetal::Setting::kFailProduct)) return nil;
  if ((self = [super initWithDevice:device])) {
    SM_VALID(rows && columns && interior, "MPSMatrixMultiplication: %lu x %lu with interior %lu has a dimension of 0", rows, columns,
             interior);
    _transposeLeft = transposeLeft;
    _transposeRight = transposeRight;
    _rows = rows;
    _columns = columns;
    _interior = interior;
    _alpha = alpha;
    _beta = beta;
    _batchSize = 1;
  }
  return self;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device
                    resultRows:(NSUInteger)rows
                 resultColumns:(NSUInteger)columns
               interiorColumns:(NSUInteger)interior {
  return [self initWithDevice:device
                transposeLeft:NO
               transposeRight:NO
                   resultRows:rows
                resultColumns:columns
              interiorColumns:interior
                        alpha:1
                         beta:0];
}
- (instancetype)initWithDevice:(id<MTLDevice>)device {
  SM_VALID(false, "-[MPSMatrixMultiplication initWithDevice:] is unavailable");
  return nil;
}

static Operand operandOf(MPSMatrix* matrix, MTLOrigin origin, NSUInteger rows, NSUInteger columns, bool transposed, NSUInteger batch,
                         bool retained) {
  const NSUInteger size = elementSize(matrix.dataType);
  const NSUInteger storedRows = transposed ? columns : rows, storedColumns = transposed ? rows : columns;
  return {Reference(matrix.data, retained),
          matrix.offset + batch * matrix.matrixBytes + origin.x * matrix.rowBytes + origin.y * size,
          matrix.rowBytes,
          storedRows,
          storedColumns * size,
          elementOf(matrix.dataType),
          transposed};
}
static bool fits(MPSMatrix* matrix, MTLOrigin origin, NSUInteger rows, NSUInteger columns, bool transposed, const char* which) {
  const NSUInteger needRows = transposed ? columns : rows, needColumns = transposed ? rows : columns;
  return SM_VALID(origin.x + needRows <= matrix.rows && origin.y + needColumns <= matrix.columns,
                  "MPSMatrixMultiplication: the %s matrix is %lu x %lu, %lu x %lu at its origin are needed", which, matrix.rows,
                  matrix.columns, needRows, needColumns);
}
- (void)encodeToCommandBuffer:(id<MTLCommandBuffer>)commandBuffer
                   leftMatrix:(MPSMatrix*)left
                  rightMatrix:(MPSMatrix*)right
                 resultMatrix:(MPSMatrix*)result {
  SMCommandBuffer* buffer = (SMCommandBuffer*)commandBuffer;
  if (!SM_VALID(buffer && left && right && result, "MPSMatrixMultiplication: a matrix or the command buffer is nil")) return;
  if (![buffer mayEncode:"-[MPSMatrixMultiplication encodeToCommandBuffer:]"]) return;
  if (!fits(left, _leftMatrixOrigin, _rows, _interior, _transposeLeft, "left") ||
      !fits(right, _rightMatrixOrigin, _interior, _columns, _transposeRight, "right") ||
      !fits(result, _resultMatrixOrigin, _rows, _columns, false, "result"))
    return;
  const bool floatResult = result.dataType == MPSDataTypeFloat32 || result.dataType == MPSDataTypeFloat16;
  if (!SM_VALID(floatResult, "MPSMatrixMultiplication: the result must be Float32 or Float16")) return;
  if (!SM_VALID(left.dataType == right.dataType, "MPSMatrixMultiplication: the inputs differ in data type")) return;
  for (id object : {(id)self, (id)left, (id)right, (id)result}) [buffer uses:Reference(object, buffer->retained)];
  for (NSUInteger i = 0; i < _batchSize; i++) {
    const NSUInteger batch = _batchStart + i;
    encodeProduct(buffer, operandOf(left, _leftMatrixOrigin, _rows, _interior, _transposeLeft, batch, buffer->retained),
                  operandOf(right, _rightMatrixOrigin, _interior, _columns, _transposeRight, batch, buffer->retained),
                  operandOf(result, _resultMatrixOrigin, _rows, _columns, false, batch, buffer->retained), _rows, _columns, _interior,
                  _alpha, _beta);
  }
}
@end

@implementation MPSMatrixBinaryKernel
@synthesize primarySourceMatrixOrigin = _primarySourceMatrixOrigin, secondarySourceMatrixOrigin = _secondarySourceMatrixOrigin,
            resultMatrixOrigin = _resultMatrixOrigin, batchStart = _batchStart, batchSize = _batchSize;
@end

@implementation MPSMatrixVectorMultiplication {
  bool _transpose;
  NSUInteger _rows, _columns;
  double _alpha, _beta;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device
                     transpose:(BOOL)transpose
                          rows:(NSUInteger)rows
                       columns:(NSUInteger)columns
                         alpha:(double)alpha
                          beta:(double)beta {
  if ((self = [super initWithDevice:device])) {
    _transpose = transpose;
    _rows = rows;
    _columns = columns;
    _alpha = alpha;
    _beta = beta;
  }
  return self;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device rows:(NSUInteger)rows columns:(NSUInteger)columns {
  return [self initWithDevice:device transpose:NO rows:rows columns:columns alpha:1 beta:0];
}
- (instancetype)initWithDevice:(id<MTLDevice>)device {
  SM_VALID(false, "-[MPSMatrixVectorMultiplication initWithDevice:] is unavailable");
  return nil;
}
static Operand vectorOperand(MPSVector* vector, NSUInteger length, bool retained) {
  const NSUInteger size = elementSize(vector.dataType);
  return {Reference(vector.data, retained), vector.offset, size, 1, length * size, elementOf(vector.dataType), false};
}
- (void)encodeToCommandBuffer:(id<MTLCommandBuffer>)commandBuffer
                  inputMatrix:(MPSMatrix*)matrix
                  inputVector:(MPSVector*)input
                 resultVector:(MPSVector*)result {
  SMCommandBuffer* buffer = (SMCommandBuffer*)commandBuffer;
  if (!SM_VALID(buffer && matrix && input && result, "MPSMatrixVectorMultiplication: an argument is nil")) return;
  if (![buffer mayEncode:"-[MPSMatrixVectorMultiplication encodeToCommandBuffer:]"]) return;
  if (!SM_VALID(input.length >= _columns && result.length >= _rows, "MPSMatrixVectorMultiplication: a vector is too short")) return;
  const MTLOrigin none = MTLOriginMake(0, 0, 0);
  if (!fits(matrix, none, _rows, _columns, _transpose, "input")) return;
  encodeProduct(buffer, operandOf(matrix, none, _rows, _columns, _transpose, 0, buffer->retained),
                vectorOperand(input, _columns, buffer->retained), vectorOperand(result, _rows, buffer->retained), _rows, 1, _columns,
                _alpha, _beta);
}
@end
