// The process and its system: a macOS whose version tests choose (see softmetal/control.h).
#import "internal.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <chrono>

#include <objc/runtime.h>

#include "../engine/faults.h"

extern char** environ;

@implementation NSProcessInfo
+ (NSProcessInfo*)processInfo {
  return [[[NSProcessInfo alloc] init] autorelease];
}
- (NSDictionary<NSString*, NSString*>*)environment {
  NSMutableDictionary* variables = [NSMutableDictionary dictionary];
  for (char** variable = environ; *variable; variable++) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals == std::string::npos) continue;
    [variables setObject:foundation::makeString(text.substr(equals + 1)) forKey:foundation::makeString(text.substr(0, equals))];
  }
  return variables;
}
- (NSOperatingSystemVersion)operatingSystemVersion {
  const softmetal::SystemVersion version = softmetal::systemVersion();
  return {version.major, version.minor, version.patch};
}
- (NSString*)operatingSystemVersionString {
  const NSOperatingSystemVersion v = [self operatingSystemVersion];
  return [NSString stringWithFormat:@"Version %ld.%ld.%ld (Software Metal)", v.majorVersion, v.minorVersion, v.patchVersion];
}
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)wanted {
  const NSOperatingSystemVersion v = [self operatingSystemVersion];
  if (v.majorVersion != wanted.majorVersion) return v.majorVersion > wanted.majorVersion;
  if (v.minorVersion != wanted.minorVersion) return v.minorVersion > wanted.minorVersion;
  return v.patchVersion >= wanted.patchVersion;
}
- (NSUInteger)processorCount {
  return sysconf(_SC_NPROCESSORS_CONF);
}
- (NSUInteger)activeProcessorCount {
  return sysconf(_SC_NPROCESSORS_ONLN);
}
- (unsigned long long)physicalMemory {
  return (unsigned long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}
- (NSTimeInterval)systemUptime {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
- (BOOL)isLowPowerModeEnabled {
  return NO;
}
@end

NSString* NSStringFromClass(Class cls) {
  return foundation::makeString(class_getName(cls));
}
NSString* NSStringFromSelector(SEL selector) {
  return foundation::makeString(sel_getName(selector));
}
Class NSClassFromString(NSString* name) {
  return objc_getClass([name UTF8String]);
}
