// expect: non-trivial|ARC forbids|deleted
#import <Metal/Metal.h>

union Slot {
  id<MTLBuffer> buffer;
  long number;
};
Slot slot() {
  return Slot();
}
