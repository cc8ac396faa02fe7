// A module that is loaded and unloaded like an add-on: classes, a category and selectors of its own.
#import <Foundation/Foundation.h>

@interface PluginObject : NSObject
- (int)answer;
@end
@implementation PluginObject
- (int)answer {
  return 42;
}
@end

@interface NSString (Plugin)
- (NSUInteger)pluginLength;
@end
@implementation NSString (Plugin)
- (NSUInteger)pluginLength {
  return self.length + 100;
}
@end

extern "C" __attribute__((visibility("default"))) int pluginAnswer() {
  @autoreleasepool {
    return [[[PluginObject alloc] init] answer] + (int)[@"ab" pluginLength];
  }
}
