// expect: assigning retained object to unsafe_unretained
#import <Metal/Metal.h>

unsigned long size() {
  __unsafe_unretained MTLCompileOptions* options = [[MTLCompileOptions alloc] init];
  return options.hash;
}
