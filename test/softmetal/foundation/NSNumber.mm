// Boxed values.
#import "internal.h"

#include <cstring>

@implementation NSValue {
  std::string _bytes, _type;
}
+ (NSValue*)valueWithBytes:(const void*)value objCType:(const char*)type {
  return [[[self alloc] initWithBytes:value objCType:type] autorelease];
}
- (instancetype)initWithBytes:(const void*)value objCType:(const char*)type {
  if ((self = [super init])) {
    NSUInteger size = strchr("cCB", *type) ? 1 : strchr("sS", *type) ? 2 : strchr("iIf", *type) ? 4 : 8;
    _bytes.assign((const char*)value, size);
    _type = type;
  }
  return self;
}
- (const char*)objCType {
  return _type.c_str();
}
- (id)copyWithZone:(NSZone*)zone {
  return [self retain];
}
@end

enum NumberKind { kSigned, kUnsigned, kReal };

@interface SMNumber : NSNumber {
 @public
  NumberKind _kind;
  long long _integer;
  double _real;
  const char* _objCType;
}
@end

static NSNumber* makeNumber(NumberKind kind, long long integer, double real, const char* type) {
  SMNumber* number = [[SMNumber alloc] init];
  number->_kind = kind;
  number->_integer = integer;
  number->_real = real;
  number->_objCType = type;
  return [number autorelease];
}

#define NUMBER_WITH(Name, Type, Code, Kind)                         \
  +(NSNumber*)numberWith##Name : (Type)value {                      \
    return makeNumber(Kind, (long long)value, (double)value, Code); \
  }

@implementation NSNumber
NUMBER_WITH(Char, char, "c", kSigned)
NUMBER_WITH(UnsignedChar, unsigned char, "C", kUnsigned)
NUMBER_WITH(Short, short, "s", kSigned)
NUMBER_WITH(UnsignedShort, unsigned short, "S", kUnsigned)
NUMBER_WITH(Int, int, "i", kSigned)
NUMBER_WITH(UnsignedInt, unsigned int, "I", kUnsigned)
NUMBER_WITH(Long, long, "q", kSigned)
NUMBER_WITH(UnsignedLong, unsigned long, "Q", kUnsigned)
NUMBER_WITH(LongLong, long long, "q", kSigned)
NUMBER_WITH(UnsignedLongLong, unsigned long long, "Q", kUnsigned)
NUMBER_WITH(Float, float, "f", kReal)
NUMBER_WITH(Double, double, "d", kReal)
NUMBER_WITH(Bool, BOOL, "B", kUnsigned)
NUMBER_WITH(Integer, NSInteger, "q", kSigned)
NUMBER_WITH(UnsignedInteger, NSUInteger, "Q", kUnsigned)
@dynamic intValue, unsignedIntValue, longLongValue, unsignedLongLongValue, floatValue, doubleValue, boolValue, integerValue,
    unsignedIntegerValue, stringValue;
- (BOOL)isEqualToNumber:(NSNumber*)number {
  return [self doubleValue] == [number doubleValue] && [self longLongValue] == [number longLongValue];
}
- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSNumber class]] && [self isEqualToNumber:object];
}
- (NSUInteger)hash {
  return (NSUInteger)[self longLongValue];
}
- (NSString*)description {
  return [self stringValue];
}
@end

@implementation SMNumber
- (const char*)objCType {
  return _objCType;
}
- (long long)longLongValue {
  return _kind == kReal ? (long long)_real : _integer;
}
- (unsigned long long)unsignedLongLongValue {
  return _kind == kReal ? (unsigned long long)_real : (unsigned long long)_integer;
}
- (int)intValue {
  return (int)[self longLongValue];
}
- (unsigned int)unsignedIntValue {
  return (unsigned int)[self unsignedLongLongValue];
}
- (NSInteger)integerValue {
  return [self longLongValue];
}
- (NSUInteger)unsignedIntegerValue {
  return [self unsignedLongLongValue];
}
- (float)floatValue {
  return (float)_real;
}
- (double)doubleValue {
  return _real;
}
- (BOOL)boolValue {
  return _kind == kReal ? _real != 0 : _integer != 0;
}
- (NSString*)stringValue {
  if (_kind == kReal) return [NSString stringWithFormat:@"%.17g", _real];
  if (_kind == kUnsigned) return [NSString stringWithFormat:@"%llu", (unsigned long long)_integer];
  return [NSString stringWithFormat:@"%lld", _integer];
}
@end
