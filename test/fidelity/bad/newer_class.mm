// expect: only available on macOS 15
#import <Metal/Metal.h>

id describe() {
  return [[MTLResidencySetDescriptor alloc] init];
}
