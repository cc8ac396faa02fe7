// expect: should not be used as format arguments
#import <Metal/Metal.h>

void tell(id<MTLDevice> device) {
  NSLog(@"%d bytes", device.maxBufferLength);
}
