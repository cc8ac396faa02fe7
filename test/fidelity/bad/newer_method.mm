// expect: only available on macOS 15
#import <Metal/Metal.h>

void reside(id<MTLDevice> device, id descriptor) {
  [device newResidencySetWithDescriptor:descriptor error:nil];
}
