// Strings: UTF-8 bytes behind one abstract class; lengths and ranges count UTF-16 units as Foundation does for ASCII text.
#import "internal.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

@interface SMString : NSMutableString {
 @public
  std::string _text;
}
@end

namespace foundation {
NSString* makeString(const std::string& text) {
  SMString* string = [[SMString alloc] init];
  string->_text = text;
  return [string autorelease];
}

std::string formatString(const char* format, va_list arguments) {
  std::string out;
  for (const char* p = format; *p;) {
    if (*p != '%') {
      out += *p++;
      continue;
    }
    std::string spec = "%";
    p++;
    while (*p && !strchr("diouxXpsfFgGeEc@%", *p)) {
      if (*p == '*')
        spec += std::to_string(va_arg(arguments, int));
      else
        spec += *p;
      p++;
    }
    const char kind = *p ? *p++ : '%';
    spec += kind;
    const bool isLong = spec.find_first_of("lzqtj") != std::string::npos;
    char buffer[512];
    if (kind == '%') {
      out += '%';
    } else if (kind == '@') {
      id object = va_arg(arguments, id);
      out += object ? [[object description] UTF8String] : "(null)";
    } else if (kind == 's') {
      const char* text = va_arg(arguments, const char*);
      const auto precision = spec.find(".");
      if (precision != std::string::npos)
        out.append(text, strnlen(text, strtoul(spec.c_str() + precision + 1, nullptr, 10)));
      else
        out += text ? text : "(null)";
    } else if (strchr("fFgGeE", kind)) {
      snprintf(buffer, sizeof buffer, spec.c_str(), va_arg(arguments, double));
      out += buffer;
    } else if (isLong || kind == 'p') {
      snprintf(buffer, sizeof buffer, spec.c_str(), va_arg(arguments, long));
      out += buffer;
    } else {
      snprintf(buffer, sizeof buffer, spec.c_str(), va_arg(arguments, int));
      out += buffer;
    }
  }
  return out;
}

NSError* posixError(NSString* path) {
  const int code = errno;
  NSString* message = [NSString stringWithFormat:@"%s: %@", strerror(code), path];
  return [NSError errorWithDomain:NSPOSIXErrorDomain
                             code:code
                         userInfo:[NSDictionary dictionaryWithObject:message forKey:NSLocalizedDescriptionKey]];
}

void setError(NSError** error, NSError* value) {
  if (error) *error = value;
}
}  // namespace foundation

using foundation::makeString;

static const char* bytesOf(NSString* string) {
  return [string UTF8String];
}

@implementation NSString
+ (instancetype)string {
  return makeString("");
}
+ (instancetype)stringWithString:(NSString*)string {
  return makeString(bytesOf(string));
}
+ (instancetype)stringWithUTF8String:(const char*)text {
  if (!text) softmetal_objc_fatal("+[NSString stringWithUTF8String:]: NULL");
  return makeString(text);
}
+ (instancetype)stringWithFormat:(NSString*)format, ... {
  va_list arguments;
  va_start(arguments, format);
  std::string text = foundation::formatString(bytesOf(format), arguments);
  va_end(arguments);
  return makeString(text);
}
+ (instancetype)stringWithContentsOfFile:(NSString*)path encoding:(NSStringEncoding)encoding error:(NSError**)error {
  std::ifstream file(bytesOf(path), std::ios::binary);
  if (!file) {
    foundation::setError(error, foundation::posixError(path));
    return nil;
  }
  std::stringstream text;
  text << file.rdbuf();
  return makeString(text.str());
}
- (instancetype)init {
  return [super init];
}
- (instancetype)replaceWith:(const std::string&)text {
  [self release];
  return [makeString(text) retain];
}
- (instancetype)initWithUTF8String:(const char*)text {
  return [self replaceWith:text];
}
- (instancetype)initWithBytes:(const void*)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding {
  return [self replaceWith:std::string((const char*)bytes, length)];
}
- (instancetype)initWithBytesNoCopy:(void*)bytes
                             length:(NSUInteger)length
                           encoding:(NSStringEncoding)encoding
                       freeWhenDone:(BOOL)freeBuffer {
  std::string text((const char*)bytes, length);
  if (freeBuffer) free(bytes);
  return [self replaceWith:text];
}
- (instancetype)initWithFormat:(NSString*)format, ... {
  va_list arguments;
  va_start(arguments, format);
  std::string text = foundation::formatString(bytesOf(format), arguments);
  va_end(arguments);
  return [self replaceWith:text];
}
- (instancetype)initWithFormat:(NSString*)format arguments:(va_list)arguments {
  return [self replaceWith:foundation::formatString(bytesOf(format), arguments)];
}
- (const char*)UTF8String {
  softmetal_objc_fatal("-UTF8String of an abstract NSString");
}
- (NSUInteger)length {
  return strlen(bytesOf(self));
}
- (NSUInteger)lengthOfBytesUsingEncoding:(NSStringEncoding)encoding {
  return strlen(bytesOf(self));
}
- (BOOL)isEqualToString:(NSString*)other {
  return other && !strcmp(bytesOf(self), bytesOf(other));
}
- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSString class]] && [self isEqualToString:object];
}
- (NSUInteger)hash {
  return std::hash<std::string>()(bytesOf(self));
}
- (NSString*)description {
  return self;
}
- (id)copyWithZone:(NSZone*)zone {
  return [makeString(bytesOf(self)) retain];
}
- (id)mutableCopyWithZone:(NSZone*)zone {
  return [makeString(bytesOf(self)) retain];
}
- (BOOL)hasPrefix:(NSString*)prefix {
  return std::string_view(bytesOf(self)).starts_with(bytesOf(prefix));
}
- (BOOL)hasSuffix:(NSString*)suffix {
  return std::string_view(bytesOf(self)).ends_with(bytesOf(suffix));
}
- (BOOL)containsString:(NSString*)other {
  return strstr(bytesOf(self), bytesOf(other)) != nullptr;
}
- (NSRange)rangeOfString:(NSString*)other {
  const char* found = strstr(bytesOf(self), bytesOf(other));
  return found ? NSMakeRange(found - bytesOf(self), [other length]) : NSMakeRange(NSNotFound, 0);
}
- (NSString*)substringFromIndex:(NSUInteger)from {
  if (from > [self length]) softmetal_objc_fatal("-[NSString substringFromIndex:]: %lu beyond %lu", from, [self length]);
  return makeString(bytesOf(self) + from);
}
- (NSString*)substringToIndex:(NSUInteger)to {
  if (to > [self length]) softmetal_objc_fatal("-[NSString substringToIndex:]: %lu beyond %lu", to, [self length]);
  return makeString(std::string(bytesOf(self), to));
}
- (NSComparisonResult)compare:(NSString*)other {
  const int order = strcmp(bytesOf(self), bytesOf(other));
  return order < 0 ? NSOrderedAscending : order > 0 ? NSOrderedDescending : NSOrderedSame;
}
- (NSString*)stringByAppendingString:(NSString*)other {
  return makeString(std::string(bytesOf(self)) + bytesOf(other));
}
- (NSString*)stringByAppendingFormat:(NSString*)format, ... {
  va_list arguments;
  va_start(arguments, format);
  std::string text = bytesOf(self) + foundation::formatString(bytesOf(format), arguments);
  va_end(arguments);
  return makeString(text);
}
- (NSString*)stringByAppendingPathComponent:(NSString*)component {
  std::string path = bytesOf(self);
  if (!path.empty() && path.back() != '/') path += '/';
  return makeString(path + bytesOf(component));
}
- (NSString*)lastPathComponent {
  const std::string path = bytesOf(self);
  const auto slash = path.rfind('/');
  return makeString(slash == std::string::npos ? path : path.substr(slash + 1));
}
- (NSString*)stringByDeletingLastPathComponent {
  const std::string path = bytesOf(self);
  const auto slash = path.rfind('/');
  return makeString(slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash));
}
- (NSData*)dataUsingEncoding:(NSStringEncoding)encoding {
  return [NSData dataWithBytes:bytesOf(self) length:strlen(bytesOf(self))];
}
- (BOOL)writeToFile:(NSString*)path atomically:(BOOL)atomically encoding:(NSStringEncoding)encoding error:(NSError**)error {
  return [[self dataUsingEncoding:encoding] writeToFile:path options:atomically ? NSDataWritingAtomic : 0 error:error];
}
@end

@implementation NSMutableString
- (void)appendString:(NSString*)string {
  softmetal_objc_fatal("-appendString: of an abstract NSMutableString");
}
- (void)appendFormat:(NSString*)format, ... {
  va_list arguments;
  va_start(arguments, format);
  std::string text = foundation::formatString(bytesOf(format), arguments);
  va_end(arguments);
  [self appendString:makeString(text)];
}
@end

@implementation SMString
- (const char*)UTF8String {
  return _text.c_str();
}
- (void)appendString:(NSString*)string {
  _text += bytesOf(string);
}
@end

struct LiteralLayout {
  void* isa;
  int flags;
  const char* bytes;
  long length;
};
constexpr int kUtf16Literal = 0xd0;

@implementation NSConstantString
- (const char*)UTF8String {
  const auto* literal = (const LiteralLayout*)self;
  if ((literal->flags & 0xff) == kUtf16Literal) softmetal_objc_fatal("@\"\" literals beyond ASCII are not supported");
  return literal->bytes;
}
- (NSUInteger)length {
  return ((const LiteralLayout*)self)->length;
}
- (id)copyWithZone:(NSZone*)zone {
  return self;
}
@end

// The symbol under which the compiler refers to the class of string literals.
__asm__(".globl __CFConstantStringClassReference\n"
        ".set __CFConstantStringClassReference, OBJC_CLASS_$_NSConstantString\n");

void NSLog(NSString* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = foundation::formatString(bytesOf(format), arguments);
  va_end(arguments);
  fprintf(stderr, "%s\n", text.c_str());
}
