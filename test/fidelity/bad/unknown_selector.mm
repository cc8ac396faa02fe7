// expect: no known instance method|may not respond
#import <Metal/Metal.h>

id<MTLBuffer> make(id<MTLDevice> device) {
  return [device newBufferWithSize:16];
}
