// expect: undeclared selector
#import <Metal/Metal.h>

BOOL answers(id<MTLDevice> device) {
  return [device respondsToSelector:@selector(newBufferWithSize:)];
}
