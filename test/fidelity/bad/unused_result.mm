// expect: unused
#import <Metal/Metal.h>

void make(id<MTLDevice> device) {
  id<MTLFence> fence = [device newFence];
}
