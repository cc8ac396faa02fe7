// Matrices and vectors of Metal Performance Shaders: views of buffers.
#import "internal.h"

#include "../engine/format.h"
#include "../metal/validation.h"

// Float32, Float16 and the integers that products take; anything else ends the process, as the framework does.
NSUInteger elementSize(MPSDataType type) {
  switch ((uint32_t)type) {
    case MPSDataTypeFloat32:
      return 4;
    case MPSDataTypeFloat16:
    case MPSDataTypeInt16:
      return 2;
    case MPSDataTypeInt8:
      return 1;
    default:
      break;
  }
  const bool bfloat = (uint32_t)type == (uint32_t)(MPSDataTypeAlternateEncodingBit | MPSDataTypeFloat16);
  softmetal::reportViolation(
      softmetal::format("MPS: input data type must be one of MPSDataTypeFloat32, Float16, Int8 or Int16, not %s (0x%x)",
                        bfloat ? "bfloat16" : "this one", (unsigned)type));
  return 4;
}

@implementation MPSMatrixDescriptor {
  NSUInteger _matrices, _matrixBytes;
}
+ (instancetype)matrixDescriptorWithRows:(NSUInteger)rows
                                 columns:(NSUInteger)columns
                                rowBytes:(NSUInteger)rowBytes
                                dataType:(MPSDataType)type {
  return [self matrixDescriptorWithRows:rows columns:columns matrices:1 rowBytes:rowBytes matrixBytes:rows * rowBytes dataType:type];
}
+ (instancetype)matrixDescriptorWithRows:(NSUInteger)rows
                                 columns:(NSUInteger)columns
                                matrices:(NSUInteger)matrices
                                rowBytes:(NSUInteger)rowBytes
                             matrixBytes:(NSUInteger)matrixBytes
                                dataType:(MPSDataType)type {
  const NSUInteger size = elementSize(type);
  SM_VALID(rows && columns && matrices, "MPSMatrixDescriptor: %lu rows, %lu columns, %lu matrices", rows, columns, matrices);
  SM_VALID(rowBytes % size == 0 && rowBytes >= columns * size,
           "MPSMatrixDescriptor: rowBytes %lu is too small or not a multiple of %lu for %lu columns", rowBytes, size, columns);
  SM_VALID(matrixBytes % rowBytes == 0, "MPSMatrixDescriptor: matrixBytes %lu is not a multiple of rowBytes %lu", matrixBytes, rowBytes);
  MPSMatrixDescriptor* descriptor = [[self alloc] init];
  descriptor.rows = rows;
  descriptor.columns = columns;
  descriptor.rowBytes = rowBytes;
  descriptor.dataType = type;
  descriptor->_matrices = matrices;
  descriptor->_matrixBytes = matrixBytes;
  return descriptor;
}
// Deliberately more than columns * size: callers must not assume packed rows.
+ (size_t)rowBytesForColumns:(NSUInteger)columns dataType:(MPSDataType)type {
  return (columns * elementSize(type) + 15) / 16 * 16;
}
- (NSUInteger)matrices {
  return _matrices;
}
- (NSUInteger)matrixBytes {
  return _matrixBytes;
}
@end

@implementation MPSMatrix {
  MPSMatrixDescriptor* _descriptor;
}
@synthesize data = _data, offset = _offset, device = _device;
- (instancetype)initWithBuffer:(id<MTLBuffer>)buffer descriptor:(MPSMatrixDescriptor*)descriptor {
  return [self initWithBuffer:buffer offset:0 descriptor:descriptor];
}
- (instancetype)initWithBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset descriptor:(MPSMatrixDescriptor*)descriptor {
  if (!SM_VALID(buffer != nil, "MPSMatrix: the buffer is nil")) return nil;
  if (!(self = [super init])) return nil;
  _data = buffer;
  _offset = offset;
  _device = buffer.device;
  _descriptor = descriptor;
  const NSUInteger size = elementSize(descriptor.dataType);
  const NSUInteger last =
      (descriptor.matrices - 1) * descriptor.matrixBytes + (descriptor.rows - 1) * descriptor.rowBytes + descriptor.columns * size;
  SM_VALID(offset % size == 0, "MPSMatrix: offset %lu is not a multiple of the element size %lu", offset, size);
  if (!SM_VALID(offset + last <= buffer.length, "MPSMatrix: the buffer holds %lu bytes, offset %lu and the matrix need %lu", buffer.length,
                offset, offset + last))
    return nil;
  return self;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device descriptor:(MPSMatrixDescriptor*)descriptor {
  id<MTLBuffer> buffer = [device newBufferWithLength:descriptor.matrices * descriptor.matrixBytes options:MTLResourceStorageModeShared];
  return [self initWithBuffer:buffer descriptor:descriptor];
}
- (NSUInteger)rows {
  return _descriptor.rows;
}
- (NSUInteger)columns {
  return _descriptor.columns;
}
- (NSUInteger)matrices {
  return _descriptor.matrices;
}
- (MPSDataType)dataType {
  return _descriptor.dataType;
}
- (NSUInteger)rowBytes {
  return _descriptor.rowBytes;
}
- (NSUInteger)matrixBytes {
  return _descriptor.matrixBytes;
}
- (NSUInteger)resourceSize {
  return _data.allocatedSize;
}
- (void)synchronizeOnCommandBuffer:(id<MTLCommandBuffer>)commandBuffer {
}
@end

@implementation MPSVectorDescriptor {
  NSUInteger _vectors, _vectorBytes;
}
+ (instancetype)vectorDescriptorWithLength:(NSUInteger)length dataType:(MPSDataType)type {
  return [self vectorDescriptorWithLength:length vectors:1 vectorBytes:length * elementSize(type) dataType:type];
}
+ (instancetype)vectorDescriptorWithLength:(NSUInteger)length
                                   vectors:(NSUInteger)vectors
                               vectorBytes:(NSUInteger)bytes
                                  dataType:(MPSDataType)type {
  MPSVectorDescriptor* descriptor = [[self alloc] init];
  descriptor.length = length;
  descriptor.dataType = type;
  descriptor->_vectors = vectors;
  descriptor->_vectorBytes = bytes;
  return descriptor;
}
+ (size_t)vectorBytesForLength:(NSUInteger)length dataType:(MPSDataType)type {
  return (length * elementSize(type) + 15) / 16 * 16;
}
- (NSUInteger)vectors {
  return _vectors;
}
- (NSUInteger)vectorBytes {
  return _vectorBytes;
}
@end

@implementation MPSVector {
  MPSVectorDescriptor* _descriptor;
}
@synthesize data = _data, offset = _offset, device = _device;
- (instancetype)initWithBuffer:(id<MTLBuffer>)buffer descriptor:(MPSVectorDescriptor*)descriptor {
  return [self initWithBuffer:buffer offset:0 descriptor:descriptor];
}
- (instancetype)initWithBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset descriptor:(MPSVectorDescriptor*)descriptor {
  if (!SM_VALID(buffer != nil, "MPSVector: the buffer is nil") || !(self = [super init])) return nil;
  _data = buffer;
  _offset = offset;
  _device = buffer.device;
  _descriptor = descriptor;
  const NSUInteger last = (descriptor.vectors - 1) * descriptor.vectorBytes + descriptor.length * elementSize(descriptor.dataType);
  if (!SM_VALID(offset + last <= buffer.length, "MPSVector: the buffer holds %lu bytes, %lu are needed", buffer.length, offset + last))
    return nil;
  return self;
}
- (instancetype)initWithDevice:(id<MTLDevice>)device descriptor:(MPSVectorDescriptor*)descriptor {
  return [self initWithBuffer:[device newBufferWithLength:descriptor.vectors * descriptor.vectorBytes options:MTLResourceStorageModeShared]
                   descriptor:descriptor];
}
- (NSUInteger)length {
  return _descriptor.length;
}
- (NSUInteger)vectors {
  return _descriptor.vectors;
}
- (MPSDataType)dataType {
  return _descriptor.dataType;
}
- (NSUInteger)vectorBytes {
  return _descriptor.vectorBytes;
}
@end
