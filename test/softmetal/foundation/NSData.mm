// Bytes.
#import "internal.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

@implementation NSData {
  std::string _data;
}
+ (instancetype)data {
  return [self dataWithBytes:"" length:0];
}
+ (instancetype)dataWithBytes:(const void*)bytes length:(NSUInteger)length {
  return [[[self alloc] initWithBytes:bytes length:length] autorelease];
}
+ (instancetype)dataWithBytesNoCopy:(void*)bytes length:(NSUInteger)length freeWhenDone:(BOOL)freeWhenDone {
  NSData* data = [self dataWithBytes:bytes length:length];
  if (freeWhenDone) free(bytes);
  return (id)data;
}
+ (instancetype)dataWithContentsOfFile:(NSString*)path {
  return [self dataWithContentsOfFile:path options:0 error:nil];
}
+ (instancetype)dataWithContentsOfFile:(NSString*)path options:(NSDataReadingOptions)options error:(NSError**)error {
  std::ifstream file([path UTF8String], std::ios::binary);
  if (!file) {
    foundation::setError(error, foundation::posixError(path));
    return nil;
  }
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::string text = bytes.str();
  return [self dataWithBytes:text.data() length:text.size()];
}
+ (instancetype)dataWithContentsOfURL:(NSURL*)url options:(NSDataReadingOptions)options error:(NSError**)error {
  return [self dataWithContentsOfFile:[url path] options:options error:error];
}
- (instancetype)initWithBytes:(const void*)bytes length:(NSUInteger)length {
  if ((self = [super init])) _data.assign((const char*)bytes, length);
  return self;
}
- (NSUInteger)length {
  return _data.size();
}
- (const void*)bytes {
  return _data.data();
}
- (void)getBytes:(void*)buffer length:(NSUInteger)length {
  memcpy(buffer, _data.data(), length < _data.size() ? length : _data.size());
}
- (BOOL)isEqualToData:(NSData*)other {
  return other && _data == other->_data;
}
- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSData class]] && [self isEqualToData:object];
}
- (BOOL)writeToFile:(NSString*)path options:(NSDataWritingOptions)options error:(NSError**)error {
  const std::string target = [path UTF8String], temporary = target + ".partial";
  std::ofstream file(temporary, std::ios::binary);
  file.write(_data.data(), _data.size());
  file.close();
  if (file && !rename(temporary.c_str(), target.c_str())) return YES;
  foundation::setError(error, foundation::posixError(path));
  return NO;
}
- (BOOL)writeToURL:(NSURL*)url options:(NSDataWritingOptions)options error:(NSError**)error {
  return [self writeToFile:[url path] options:options error:error];
}
- (id)copyWithZone:(NSZone*)zone {
  return [self retain];
}
- (id)mutableCopyWithZone:(NSZone*)zone {
  return [[NSData alloc] initWithBytes:_data.data() length:_data.size()];
}
@end
