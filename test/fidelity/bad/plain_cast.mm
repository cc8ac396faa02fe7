// expect: requires a bridged cast
#import <Metal/Metal.h>

void* address(id<MTLBuffer> buffer) {
  return (void*)buffer;
}
