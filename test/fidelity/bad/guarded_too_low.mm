// expect: only available on macOS 15
#import <Metal/Metal.h>

void reside(id<MTLDevice> device, id descriptor) {
  if (@available(macOS 14.0, *)) [device newResidencySetWithDescriptor:descriptor error:nil];
}
