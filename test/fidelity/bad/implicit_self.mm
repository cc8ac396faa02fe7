// expect: implicitly retains 'self'
#import <Metal/Metal.h>

@interface Counter : NSObject {
  int count_;
}
@end

@implementation Counter
- (void)add:(id<MTLCommandBuffer>)buffer {
  [buffer addCompletedHandler:^(id<MTLCommandBuffer>) {
    count_++;
  }];
}
@end
