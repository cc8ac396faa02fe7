// expect: ARC forbids explicit message send
#import <Metal/Metal.h>

void drop(id<MTLBuffer> buffer) {
  [buffer release];
}
