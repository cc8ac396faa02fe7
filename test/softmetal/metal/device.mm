// The device: what it reports, and what it makes.
#include <sys/mman.h>
#include <unistd.h>

#include "../engine/compiler.h"

#import "internal.h"

using softmetal::setting;
using softmetal::Setting;
using softmetal::takesTurn;

@interface MTLArchitecture ()
@property(readwrite, copy) NSString* name;
@end
@implementation MTLArchitecture
- (id)copyWithZone:(NSZone*)zone {
  return self;
}
@end

static std::string macroOptions(NSDictionary<NSString*, NSObject*>* macros) {
  std::string options;
  for (NSString* name in macros) {
    std::string value = macros[name].description.UTF8String;
    for (size_t at = 0; (at = value.find('\'', at)) != std::string::npos; at += 4) value.replace(at, 1, "'\\''");
    options += std::string(" '-D") + name.UTF8String + "=" + value + "'";
  }
  return options;
}

// The system's newest language version, as major * 10 + minor.
static int newestLanguage() {
  const long major = softmetal::systemVersion().major;
  return major >= 26 ? 40 : major >= 15 ? 32 : major >= 14 ? 31 : 30;
}

@implementation SMDevice {
  std::atomic<NSInteger> _allocatedBytes;
  std::mutex _libraryMutex;
  std::map<std::string, std::weak_ptr<softmetal::Library>> _libraries;  // unspecialised, by path
}
@synthesize shouldMaximizeConcurrentCompilation = _shouldMaximizeConcurrentCompilation;
+ (SMDevice*)defaultDevice {
  static __weak SMDevice* existing;
  if (setting(Setting::kNoDevice)) return nil;
  @synchronized([SMDevice class]) {
    SMDevice* device = existing;
    if (!device) existing = device = [[SMDevice alloc] init];
    return device;
  }
}
- (void)allocated:(NSInteger)bytes {
  _allocatedBytes += bytes;
}

- (NSString*)name {
  return setting(Setting::kFamily) ? @"Software Metal" : @"Software Metal (paravirtual)";
}
- (uint64_t)registryID {
  return 0x736f66746d65;  // "softme"
}
- (MTLArchitecture*)architecture {
  softmetal::requireSystem(14, 0, "-[MTLDevice architecture]");
  MTLArchitecture* architecture = [[MTLArchitecture alloc] init];
  architecture.name = @"software";
  return architecture;
}
- (MTLSize)maxThreadsPerThreadgroup {
  return MTLSizeMake(1024, 1024, 1024);
}
- (NSUInteger)maxThreadgroupMemoryLength {
  return 32768;
}
- (NSUInteger)maxBufferLength {
  return setting(Setting::kMaxBufferLength);
}
- (uint64_t)recommendedMaxWorkingSetSize {
  return setting(Setting::kWorkingSet);
}
- (NSUInteger)currentAllocatedSize {
  return _allocatedBytes;
}
- (BOOL)hasUnifiedMemory {
  return setting(Setting::kUnifiedMemory) != 0;
}
- (BOOL)isLowPower {
  return NO;
}
- (BOOL)isHeadless {
  return NO;
}
- (BOOL)isRemovable {
  return NO;
}
- (MTLArgumentBuffersTier)argumentBuffersSupport {
  return MTLArgumentBuffersTier2;
}
- (NSUInteger)maximumConcurrentCompilationTaskCount {
  return 1;
}
- (BOOL)supportsFamily:(MTLGPUFamily)family {
  const int64_t apple = setting(Setting::kFamily);
  if (family == MTLGPUFamilyMetal3) return setting(Setting::kMetal3) && apple >= 7;
  if (family == MTLGPUFamilyMac2) return apple >= 7;
  if (family >= MTLGPUFamilyCommon1 && family <= MTLGPUFamilyCommon3) return YES;
  return family >= MTLGPUFamilyApple1 && family <= MTLGPUFamilyApple10 && family - 1000 <= apple;
}
- (void)sampleTimestamps:(MTLTimestamp*)cpuTimestamp gpuTimestamp:(MTLTimestamp*)gpuTimestamp {
  *cpuTimestamp = *gpuTimestamp = std::chrono::steady_clock::now().time_since_epoch().count();
}

- (id<MTLCommandQueue>)newCommandQueue {
  return [self newCommandQueueWithMaxCommandBufferCount:64];
}
- (id<MTLCommandQueue>)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)count {
  if (!SM_VALID(count > 0, "newCommandQueueWithMaxCommandBufferCount: 0")) return nil;
  return [[SMQueue alloc] initWithDevice:self maxCommandBuffers:count];
}
- (id<MTLCommandQueue>)newCommandQueueWithDescriptor:(MTLCommandQueueDescriptor*)descriptor {
  if (!softmetal::requireSystem(15, 0, "-[MTLDevice newCommandQueueWithDescriptor:]")) return nil;
  return [self newCommandQueueWithMaxCommandBufferCount:descriptor.maxCommandBufferCount];
}

// Whether memory of this size can be had, by the limits and the faults in force.
- (BOOL)mayAllocate:(NSUInteger)length what:(const char*)what {
  if (!SM_VALID(length > 0, "%s: length must not be 0", what)) return NO;
  if (length > self.maxBufferLength || takesTurn(Setting::kFailAllocationOnce)) return NO;
  if (setting(Setting::kFailAllocation) == 1) return NO;
  takesTurn(Setting::kFailAllocation);
  const int64_t limit = setting(Setting::kMemoryLimit);
  if (limit && _allocatedBytes + (NSInteger)length > limit) return NO;
  softmetal::count([&](auto& c) {
    c.buffersCreated++;
    c.bytesAllocated += length;
  });
  return YES;
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  if (![self mayAllocate:length what:"newBufferWithLength"]) return nil;
  return [[SMBuffer alloc] initWithLength:length options:options device:self];
}
- (id<MTLBuffer>)newBufferWithBytes:(const void*)bytes length:(NSUInteger)length options:(MTLResourceOptions)options {
  if (!SM_VALID((options >> MTLResourceStorageModeShift & 0xf) != MTLStorageModePrivate, "newBufferWithBytes: with private storage"))
    return nil;
  SMBuffer* buffer = (SMBuffer*)[self newBufferWithLength:length options:options];
  if (buffer) memcpy(buffer->region->base, bytes, length);
  return buffer;
}
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void*)pointer
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void*, NSUInteger))deallocator {
  constexpr NSUInteger kPage = 16384;  // of Apple silicon, the larger of the two
  if (!SM_VALID((uintptr_t)pointer % kPage == 0 && length % kPage == 0,
                "newBufferWithBytesNoCopy: pointer %p and length %lu must be multiples of the 16 KB page", pointer, length))
    return nil;
  if (!SM_VALID((options >> MTLResourceStorageModeShift & 0xf) != MTLStorageModePrivate, "newBufferWithBytesNoCopy: with private storage"))
    return nil;
  if (![self mayAllocate:length what:"newBufferWithBytesNoCopy"]) return nil;
  return [[SMBuffer alloc] initWithMemory:pointer length:length options:options device:self deallocator:deallocator];
}
- (MTLSizeAndAlign)heapBufferSizeAndAlignWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  return {(length + 255) / 256 * 256, 256};
}
- (id<MTLHeap>)newHeapWithDescriptor:(MTLHeapDescriptor*)descriptor {
  if (![self mayAllocate:descriptor.size what:"newHeapWithDescriptor"]) return nil;
  return [[SMHeap alloc] initWithDescriptor:descriptor device:self];
}

- (id<MTLLibrary>)newLibraryWithSource:(NSString*)source options:(MTLCompileOptions*)given error:(NSError**)error {
  const auto fail = [&](NSInteger code, const std::string& message) -> id<MTLLibrary> {
    if (error) *error = makeError(MTLLibraryErrorDomain, code, message);
    return nil;
  };
  if (takesTurn(Setting::kFailCompile)) return fail(MTLLibraryErrorCompileFailure, "injected: the compiler failed");
  MTLCompileOptions* options = given ? given : [[MTLCompileOptions alloc] init];
  softmetal::CompileOptions compileOptions;
  compileOptions.languageVersion = (int)(options.languageVersion >> 16) * 10 + (int)(options.languageVersion & 0xffff);
  if (compileOptions.languageVersion > newestLanguage())
    return fail(MTLLibraryErrorCompileFailure,
                softmetal::format("this system's newest language version is %d.%d, the options ask for %d.%d", newestLanguage() / 10,
                                  newestLanguage() % 10, compileOptions.languageVersion / 10, compileOptions.languageVersion % 10));
  compileOptions.fastMath = options.fastMathEnabled;
  compileOptions.macros = macroOptions(options.preprocessorMacros);
  const softmetal::Compiled compiled = softmetal::compile(source.UTF8String, compileOptions);
  softmetal::count([&](auto& c) {
    (compiled.cached ? c.librariesCached : c.librariesCompiled)++;
    c.compileSeconds += compiled.seconds;
  });
  if (!compiled.log.empty()) return fail(MTLLibraryErrorCompileFailure, compiled.log);
  std::string problem;
  std::shared_ptr<softmetal::Library> library;
  {
    std::lock_guard lock(_libraryMutex);
    library = _libraries[compiled.libraryPath].lock();
    if (!library) _libraries[compiled.libraryPath] = library = softmetal::Library::load(compiled.libraryPath, {}, problem);
  }
  if (!library) return fail(MTLLibraryErrorInternal, problem);
  return [[SMLibrary alloc] initWithPath:compiled.libraryPath library:library device:self];
}
- (void)newLibraryWithSource:(NSString*)source
                     options:(MTLCompileOptions*)options
           completionHandler:(MTLNewLibraryCompletionHandler)handler {
  NSError* error = nil;
  id<MTLLibrary> library = [self newLibraryWithSource:source options:options error:&error];
  handler(library, error);
}
- (id<MTLLibrary>)unsupportedLibrary:(NSError**)error {
  if (error) *error = makeError(MTLLibraryErrorDomain, MTLLibraryErrorFileNotFound, "only libraries from source are supported");
  return nil;
}
- (id<MTLLibrary>)newDefaultLibrary {
  return nil;
}
- (id<MTLLibrary>)newDefaultLibraryWithBundle:(NSBundle*)bundle error:(NSError**)error {
  return [self unsupportedLibrary:error];
}
- (id<MTLLibrary>)newLibraryWithURL:(NSURL*)url error:(NSError**)error {
  return [self unsupportedLibrary:error];
}
- (id<MTLLibrary>)newLibraryWithData:(dispatch_data_t)data error:(NSError**)error {
  return [self unsupportedLibrary:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError**)error {
  MTLComputePipelineDescriptor* descriptor = [[MTLComputePipelineDescriptor alloc] init];
  descriptor.computeFunction = function;
  return [self newComputePipelineStateWithDescriptor:descriptor options:MTLPipelineOptionNone reflection:nil error:error];
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function
                                                           options:(MTLPipelineOption)options
                                                        reflection:(MTLAutoreleasedComputePipelineReflection*)reflection
                                                             error:(NSError**)error {
  return [self newComputePipelineStateWithFunction:function error:error];
}
- (void)newComputePipelineStateWithFunction:(id<MTLFunction>)function
                          completionHandler:(MTLNewComputePipelineStateCompletionHandler)handler {
  NSError* error = nil;
  id<MTLComputePipelineState> state = [self newComputePipelineStateWithFunction:function error:&error];
  handler(state, error);
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor*)descriptor
                                                             options:(MTLPipelineOption)options
                                                          reflection:(MTLAutoreleasedComputePipelineReflection*)reflection
                                                               error:(NSError**)error {
  const auto start = std::chrono::steady_clock::now();
  SMFunction* function = (SMFunction*)descriptor.computeFunction;
  if (!SM_VALID(function != nil, "newComputePipelineState: the function is nil")) return nil;
  const auto fail = [&](const std::string& message) -> id<MTLComputePipelineState> {
    if (error) *error = makeError(@"CompilerError", 2, message);
    return nil;
  };
  if (takesTurn(Setting::kFailPipeline)) return fail("injected: the pipeline could not be made");
  if (!function->missingConstant.empty())
    return fail(softmetal::format("function '%s' requires a value for the function constant %s", function->kernel->name,
                                  function->missingConstant.c_str()));
  const NSUInteger staticMemory = function->library->threadgroupMemory(function->kernel);
  if (staticMemory > self.maxThreadgroupMemoryLength)
    return fail(softmetal::format("kernel '%s': %lu bytes of threadgroup memory exceed 32768", function->kernel->name, staticMemory));
  SMPipeline* pipeline = [[SMPipeline alloc] init];
  pipeline->library = function->library;
  pipeline->kernel = function->kernel;
  pipeline.device = self;
  pipeline.label = descriptor.label;
  pipeline->wholeSimdgroups = descriptor.threadGroupSizeIsMultipleOfThreadExecutionWidth;
  NSUInteger most = function->kernel->maxThreads ? function->kernel->maxThreads : std::min<NSUInteger>(setting(Setting::kMaxThreads), 1024);
  if (descriptor.maxTotalThreadsPerThreadgroup) most = descriptor.maxTotalThreadsPerThreadgroup;
  if (most > 1024) return fail(softmetal::format("kernel '%s': %lu threads per threadgroup exceed 1024", function->kernel->name, most));
  pipeline->maxThreads = most;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  softmetal::count([](auto& c) { c.pipelines++; });
  softmetal::countKernel(function->kernel->name, [&](auto& k) { k.pipelineSeconds += seconds; });
  return pipeline;
}
- (void)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor*)descriptor
                                      options:(MTLPipelineOption)options
                            completionHandler:(MTLNewComputePipelineStateWithReflectionCompletionHandler)handler {
  NSError* error = nil;
  id<MTLComputePipelineState> state = [self newComputePipelineStateWithDescriptor:descriptor options:options reflection:nil error:&error];
  handler(state, nil, error);
}
- (id<MTLBinaryArchive>)newBinaryArchiveWithDescriptor:(MTLBinaryArchiveDescriptor*)descriptor error:(NSError**)error {
  if (error) *error = makeError(MTLBinaryArchiveDomain, MTLBinaryArchiveErrorInternalError, "binary archives are not supported");
  return nil;
}

- (id<MTLFence>)newFence {
  SMFence* fence = [[SMFence alloc] init];
  fence.device = self;
  return fence;
}
- (id<MTLEvent>)newEvent {
  return [[SMEvent alloc] initWithDevice:self shared:NO];
}
- (id<MTLSharedEvent>)newSharedEvent {
  return [[SMEvent alloc] initWithDevice:self shared:YES];
}
- (id<MTLSharedEvent>)newSharedEventWithHandle:(MTLSharedEventHandle*)handle {
  return nil;
}
- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor*)descriptor error:(NSError**)error {
  if (!softmetal::requireSystem(15, 0, "-[MTLDevice newResidencySetWithDescriptor:error:]")) return nil;
  return [[SMResidencySet alloc] initWithDescriptor:descriptor device:self];
}
@end

id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
  return [SMDevice defaultDevice];
}
NSArray<id<MTLDevice>>* MTLCopyAllDevices(void) {
  SMDevice* device = [SMDevice defaultDevice];
  return device ? [NSArray arrayWithObject:device] : [[NSArray alloc] init];
}
