#import <Foundation/Foundation.h>

#include "metal/overrides.h"

namespace weightnorm::metal {

Overrides& overrides() {
  static Overrides values;
  return values;
}

bool systemAtLeast(int major) {
  static const int real = static_cast<int>(NSProcessInfo.processInfo.operatingSystemVersion.majorVersion);
  return (overrides().systemMajor ? overrides().systemMajor : real) >= major;
}

}  // namespace weightnorm::metal
