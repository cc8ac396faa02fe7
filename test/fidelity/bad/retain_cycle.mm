// expect: likely to lead to a retain cycle
#import <Metal/Metal.h>

@interface Worker : NSObject
@property(copy) void (^work)(void);
@property int count;
@end

@implementation Worker
- (void)start {
  self.work = ^{
    self.count = 1;
  };
}
@end
