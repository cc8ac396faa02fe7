// expect: cannot initialize a parameter|incompatible
#import <Metal/Metal.h>

void bind(id<MTLComputeCommandEncoder> encoder, NSString* buffer) {
  [encoder setBuffer:buffer offset:0 atIndex:0];
}
