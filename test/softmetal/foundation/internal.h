// What the Foundation subset's own files share. They are compiled without ARC.
#pragma once
#import <Foundation/Foundation.h>

#include <cstdarg>
#include <string>

extern "C" void softmetal_objc_fatal(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));

namespace foundation {
NSString* makeString(const std::string& text);                    // autoreleased
std::string formatString(const char* format, va_list arguments);  // printf plus %@
NSError* posixError(NSString* path);                              // of errno, autoreleased
void setError(NSError** error, NSError* value);
}  // namespace foundation

// A string literal's class; the compiler lays its instances out in the binary.
@interface NSConstantString : NSString
@end
