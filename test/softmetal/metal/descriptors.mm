// Classes that only carry properties, and the constants of the API.
#import "internal.h"

NSErrorDomain const MTLLibraryErrorDomain = @"MTLLibraryErrorDomain";
NSErrorDomain const MTLCommandBufferErrorDomain = @"MTLCommandBufferErrorDomain";
NSErrorDomain const MTLBinaryArchiveDomain = @"MTLBinaryArchiveDomain";
NSErrorDomain const MTLCaptureErrorDomain = @"MTLCaptureErrorDomain";
NSErrorUserInfoKey const MTLCommandBufferEncoderInfoErrorKey = @"MTLCommandBufferEncoderInfoErrorKey";

NSString* makeString(const std::string& text) {
  return [NSString stringWithUTF8String:text.c_str()];
}
NSError* makeError(NSErrorDomain domain, NSInteger code, const std::string& message) {
  return [NSError errorWithDomain:domain code:code userInfo:@{NSLocalizedDescriptionKey : makeString(message)}];
}

@implementation MTLCompileOptions {
  BOOL _fastMathEnabled;
  MTLMathMode _mathMode;
  MTLMathFloatingPointFunctions _mathFunctions;
  NSUInteger _maxThreads;
}
@synthesize preprocessorMacros = _preprocessorMacros, languageVersion = _languageVersion, libraryType = _libraryType,
            preserveInvariance = _preserveInvariance, optimizationLevel = _optimizationLevel;
- (instancetype)init {
  if ((self = [super init])) {
    _fastMathEnabled = YES;
    _mathMode = MTLMathModeFast;
    const long major = softmetal::systemVersion().major;
    _languageVersion = major >= 26   ? MTLLanguageVersion4_0
                       : major >= 15 ? MTLLanguageVersion3_2
                       : major >= 14 ? MTLLanguageVersion3_1
                                     : MTLLanguageVersion3_0;
  }
  return self;
}
- (BOOL)fastMathEnabled {
  return _fastMathEnabled;
}
- (void)setFastMathEnabled:(BOOL)enabled {
  _fastMathEnabled = enabled;
  _mathMode = enabled ? MTLMathModeFast : MTLMathModeSafe;
}
- (MTLMathMode)mathMode {
  return softmetal::requireSystem(15, 0, "-[MTLCompileOptions mathMode]") ? _mathMode : MTLMathModeFast;
}
- (void)setMathMode:(MTLMathMode)mode {
  if (!softmetal::requireSystem(15, 0, "-[MTLCompileOptions setMathMode:]")) return;
  _mathMode = mode;
  _fastMathEnabled = mode != MTLMathModeSafe;
}
- (MTLMathFloatingPointFunctions)mathFloatingPointFunctions {
  return _mathFunctions;
}
- (void)setMathFloatingPointFunctions:(MTLMathFloatingPointFunctions)functions {
  if (softmetal::requireSystem(15, 0, "-[MTLCompileOptions setMathFloatingPointFunctions:]")) _mathFunctions = functions;
}
- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return _maxThreads;
}
- (void)setMaxTotalThreadsPerThreadgroup:(NSUInteger)count {
  if (softmetal::requireSystem(13, 3, "-[MTLCompileOptions setMaxTotalThreadsPerThreadgroup:]")) _maxThreads = count;
}
- (id)copyWithZone:(NSZone*)zone {
  MTLCompileOptions* copy = [[MTLCompileOptions alloc] init];
  copy->_fastMathEnabled = _fastMathEnabled;
  copy->_mathMode = _mathMode;
  copy->_mathFunctions = _mathFunctions;
  copy->_maxThreads = _maxThreads;
  copy.languageVersion = self.languageVersion;
  copy.preprocessorMacros = self.preprocessorMacros;
  return copy;
}
@end

@implementation MTLFunctionDescriptor
+ (MTLFunctionDescriptor*)functionDescriptor {
  return [[MTLFunctionDescriptor alloc] init];
}
- (id)copyWithZone:(NSZone*)zone {
  MTLFunctionDescriptor* copy = [[MTLFunctionDescriptor alloc] init];
  copy.name = self.name;
  copy.specializedName = self.specializedName;
  copy.constantValues = self.constantValues;
  copy.options = self.options;
  return copy;
}
@end

@implementation MTLPipelineBufferDescriptor
- (id)copyWithZone:(NSZone*)zone {
  MTLPipelineBufferDescriptor* copy = [[MTLPipelineBufferDescriptor alloc] init];
  copy.mutability = self.mutability;
  return copy;
}
@end
@implementation MTLPipelineBufferDescriptorArray {
  NSMutableDictionary* _descriptors;
}
- (MTLPipelineBufferDescriptor*)objectAtIndexedSubscript:(NSUInteger)index {
  if (!_descriptors) _descriptors = [NSMutableDictionary dictionary];
  if (!_descriptors[@(index)]) _descriptors[@(index)] = [[MTLPipelineBufferDescriptor alloc] init];
  return _descriptors[@(index)];
}
- (void)setObject:(MTLPipelineBufferDescriptor*)descriptor atIndexedSubscript:(NSUInteger)index {
  [self objectAtIndexedSubscript:index].mutability = descriptor.mutability;
}
@end

@implementation MTLComputePipelineDescriptor {
  MTLPipelineBufferDescriptorArray* _buffers;
}
- (MTLPipelineBufferDescriptorArray*)buffers {
  if (!_buffers) _buffers = [[MTLPipelineBufferDescriptorArray alloc] init];
  return _buffers;
}
- (void)reset {
  self.label = nil;
  self.computeFunction = nil;
  self.threadGroupSizeIsMultipleOfThreadExecutionWidth = NO;
  self.maxTotalThreadsPerThreadgroup = 0;
  _buffers = nil;
}
- (id)copyWithZone:(NSZone*)zone {
  MTLComputePipelineDescriptor* copy = [[MTLComputePipelineDescriptor alloc] init];
  copy.label = self.label;
  copy.computeFunction = self.computeFunction;
  copy.threadGroupSizeIsMultipleOfThreadExecutionWidth = self.threadGroupSizeIsMultipleOfThreadExecutionWidth;
  copy.maxTotalThreadsPerThreadgroup = self.maxTotalThreadsPerThreadgroup;
  return copy;
}
@end

@implementation MTLHeapDescriptor
- (instancetype)init {
  if ((self = [super init])) {
    self.storageMode = MTLStorageModePrivate;
    self.hazardTrackingMode = MTLHazardTrackingModeDefault;
  }
  return self;
}
- (MTLResourceOptions)resourceOptions {
  return self.cpuCacheMode | self.storageMode << MTLResourceStorageModeShift |
         self.hazardTrackingMode << MTLResourceHazardTrackingModeShift;
}
- (void)setResourceOptions:(MTLResourceOptions)options {
  self.cpuCacheMode = (MTLCPUCacheMode)(options & 0xf);
  self.storageMode = (MTLStorageMode)(options >> MTLResourceStorageModeShift & 0xf);
  self.hazardTrackingMode = (MTLHazardTrackingMode)(options >> MTLResourceHazardTrackingModeShift & 0x3);
}
- (id)copyWithZone:(NSZone*)zone {
  MTLHeapDescriptor* copy = [[MTLHeapDescriptor alloc] init];
  copy.size = self.size;
  copy.type = self.type;
  copy.resourceOptions = self.resourceOptions;
  return copy;
}
@end

@implementation MTLCommandBufferDescriptor
- (instancetype)init {
  if ((self = [super init])) self.retainedReferences = YES;
  return self;
}
- (id)copyWithZone:(NSZone*)zone {
  MTLCommandBufferDescriptor* copy = [[MTLCommandBufferDescriptor alloc] init];
  copy.retainedReferences = self.retainedReferences;
  copy.errorOptions = self.errorOptions;
  return copy;
}
@end
@implementation MTLCommandQueueDescriptor
- (instancetype)init {
  softmetal::requireSystem(15, 0, "MTLCommandQueueDescriptor");
  if ((self = [super init])) self.maxCommandBufferCount = 64;
  return self;
}
- (id)copyWithZone:(NSZone*)zone {
  MTLCommandQueueDescriptor* copy = [[MTLCommandQueueDescriptor alloc] init];
  copy.maxCommandBufferCount = self.maxCommandBufferCount;
  return copy;
}
@end
@implementation MTLResidencySetDescriptor
- (id)copyWithZone:(NSZone*)zone {
  MTLResidencySetDescriptor* copy = [[MTLResidencySetDescriptor alloc] init];
  copy.label = self.label;
  copy.initialCapacity = self.initialCapacity;
  return copy;
}
@end
