// Libraries, functions, function constants, pipelines.
#include "../engine/compiler.h"

#import "internal.h"

using softmetal::ConstantValues;
using softmetal::setting;
using softmetal::Setting;

struct TypedValue {
  MTLDataType type;
  std::string bytes;
};

@interface MTLFunctionConstantValues () {
 @public
  std::map<int, TypedValue> _byIndex;
  std::map<std::string, TypedValue> _byName;
}
@end

static NSUInteger sizeOfType(MTLDataType type) {
  static const struct {
    MTLDataType first;
    NSUInteger size;
  } kScalars[] = {{MTLDataTypeFloat, 4},  {MTLDataTypeHalf, 2}, {MTLDataTypeInt, 4},   {MTLDataTypeUInt, 4}, {MTLDataTypeShort, 2},
                  {MTLDataTypeUShort, 2}, {MTLDataTypeChar, 1}, {MTLDataTypeUChar, 1}, {MTLDataTypeBool, 1}};
  if (type == MTLDataTypeLong || type == MTLDataTypeULong) return 8;
  for (const auto& scalar : kScalars)
    if (type >= scalar.first && type < scalar.first + 4) {
      const NSUInteger count = type - scalar.first + 1;
      return scalar.size * (count == 3 ? 4 : count);
    }
  return 0;
}

@implementation MTLFunctionConstantValues
static TypedValue typedValue(const void* value, MTLDataType type) {
  const NSUInteger size = sizeOfType(type);
  SM_VALID(size > 0, "function constant of type %lu, which cannot be one", (unsigned long)type);
  return {type, std::string((const char*)value, size)};
}
- (void)setConstantValue:(const void*)value type:(MTLDataType)type atIndex:(NSUInteger)index {
  _byIndex[(int)index] = typedValue(value, type);
}
- (void)setConstantValues:(const void*)values type:(MTLDataType)type withRange:(NSRange)range {
  for (NSUInteger i = 0; i < range.length; i++)
    [self setConstantValue:(const char*)values + i * sizeOfType(type) type:type atIndex:range.location + i];
}
- (void)setConstantValue:(const void*)value type:(MTLDataType)type withName:(NSString*)name {
  _byName[name.UTF8String] = typedValue(value, type);
}
- (void)reset {
  _byIndex.clear();
  _byName.clear();
}
- (id)copyWithZone:(NSZone*)zone {
  MTLFunctionConstantValues* copy = [[MTLFunctionConstantValues alloc] init];
  copy->_byIndex = _byIndex;
  copy->_byName = _byName;
  return copy;
}
@end

@interface MTLFunctionConstant () {
 @public
  const SmConstant* _constant;
  BOOL _required;
}
@end
@implementation MTLFunctionConstant
- (NSString*)name {
  return makeString(_constant->name);
}
- (MTLDataType)type {
  return (MTLDataType)_constant->type;
}
- (NSUInteger)index {
  return _constant->index;
}
- (BOOL)required {
  return _required;
}
@end

@implementation SMFunction
@synthesize label = _label, device = _device;
- (NSString*)name {
  return makeString(kernel->name);
}
- (MTLFunctionType)functionType {
  return MTLFunctionTypeKernel;
}
- (MTLFunctionOptions)options {
  return MTLFunctionOptionNone;
}
- (NSDictionary<NSString*, MTLFunctionConstant*>*)functionConstantsDictionary {
  NSMutableDictionary* constants = [NSMutableDictionary dictionary];
  for (const int* i = kernel->constants; *i >= 0; i++) {
    MTLFunctionConstant* constant = [[MTLFunctionConstant alloc] init];
    constant->_constant = &library->constants()[*i];
    constant->_required = !constant->_constant->optional;
    constants[constant.name] = constant;
  }
  return constants;
}
@end

@implementation SMLibrary {
  std::string _path;
  std::shared_ptr<softmetal::Library> _unspecialised;
  std::mutex _mutex;
  std::map<ConstantValues, std::weak_ptr<softmetal::Library>> _specialised;
  SMDevice* _device;
}
@synthesize label = _label;
- (instancetype)initWithPath:(const std::string&)path library:(std::shared_ptr<softmetal::Library>)library device:(SMDevice*)device {
  if ((self = [super init])) {
    _path = path;
    _unspecialised = std::move(library);
    _device = device;
  }
  return self;
}
- (id<MTLDevice>)device {
  return _device;
}
- (MTLLibraryType)type {
  return MTLLibraryTypeExecutable;
}
- (NSArray<NSString*>*)functionNames {
  NSMutableArray* names = [NSMutableArray array];
  for (const auto& [name, kernel] : _unspecialised->kernels()) [names addObject:makeString(name)];
  return names;
}
- (std::shared_ptr<softmetal::Library>)specialise:(const ConstantValues&)values error:(std::string&)error {
  if (values.empty()) return _unspecialised;
  std::lock_guard lock(_mutex);
  if (auto existing = _specialised[values].lock()) return existing;
  auto library = softmetal::Library::load(_path, values, error);
  _specialised[values] = library;
  return library;
}
// The values by index, or an error where a type does not fit its declaration.
- (ConstantValues)valuesFrom:(MTLFunctionConstantValues*)given error:(std::string&)error {
  ConstantValues values;
  if (!given) return values;
  for (const SmConstant* c = _unspecialised->constants(); c && c->name; c++) {
    const TypedValue* value = nullptr;
    if (auto found = given->_byIndex.find(c->index); found != given->_byIndex.end()) value = &found->second;
    if (auto found = given->_byName.find(c->name); found != given->_byName.end()) value = &found->second;
    if (!value) continue;
    if ((int)value->type != c->type)
      error = softmetal::format("function constant %s (index %d) has type %d, a value of type %d was given", c->name, c->index, c->type,
                                (int)value->type);
    values[c->index] = value->bytes;
  }
  return values;
}
- (id<MTLFunction>)newFunctionWithName:(NSString*)name {
  const auto found = _unspecialised->kernels().find(name.UTF8String);
  return found == _unspecialised->kernels().end() ? nil : [self newFunctionWithName:name constantValues:(id _Nonnull)nil error:nil];
}
- (id<MTLFunction>)newFunctionWithName:(NSString*)name constantValues:(MTLFunctionConstantValues*)constants error:(NSError**)error {
  const auto fail = [&](NSInteger code, const std::string& message) -> id<MTLFunction> {
    if (error) *error = makeError(MTLLibraryErrorDomain, code, message);
    return nil;
  };
  std::string problem;
  if (!_unspecialised->kernels().count(name.UTF8String))
    return fail(MTLLibraryErrorFunctionNotFound, softmetal::format("no function is named '%s'", name.UTF8String));
  const ConstantValues values = [self valuesFrom:constants error:problem];
  if (!problem.empty()) return fail(MTLLibraryErrorCompileFailure, problem);
  auto library = [self specialise:values error:problem];
  if (!library) return fail(MTLLibraryErrorInternal, problem);
  SMFunction* function = [[SMFunction alloc] init];
  function->library = library;
  function->kernel = library->kernels().at(name.UTF8String);
  function.device = _device;
  for (const int* i = function->kernel->constants; *i >= 0; i++) {
    const SmConstant& c = library->constants()[*i];
    if (!c.optional && !values.count(c.index)) function->missingConstant = c.name;
  }
  if (constants && !function->missingConstant.empty())
    return fail(MTLLibraryErrorCompileFailure, softmetal::format("function '%s' requires a value for the function constant %s",
                                                                 name.UTF8String, function->missingConstant.c_str()));
  return function;
}
- (void)newFunctionWithName:(NSString*)name
             constantValues:(MTLFunctionConstantValues*)constants
          completionHandler:(void (^)(id<MTLFunction>, NSError*))handler {
  NSError* error = nil;
  id<MTLFunction> function = [self newFunctionWithName:name constantValues:constants error:&error];
  handler(function, error);
}
- (id<MTLFunction>)newFunctionWithDescriptor:(MTLFunctionDescriptor*)descriptor error:(NSError**)error {
  return [self newFunctionWithName:(NSString* _Nonnull)descriptor.name
                    constantValues:(MTLFunctionConstantValues* _Nonnull)descriptor.constantValues
                             error:error];
}
@end

@implementation SMPipeline
@synthesize device = _device, label = _label;
- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return maxThreads;
}
- (NSUInteger)threadExecutionWidth {
  return softmetal::setting(softmetal::Setting::kSimdWidth);
}
- (NSUInteger)staticThreadgroupMemoryLength {
  return library->threadgroupMemory(kernel);
}
- (BOOL)supportIndirectCommandBuffers {
  return NO;
}
- (MTLResourceID)gpuResourceID {
  return {(uint64_t)kernel};
}
@end
