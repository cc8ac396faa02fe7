// expect: only available on macOS 14
#import <Metal/Metal.h>

void choose(MTLCompileOptions* options) {
  options.languageVersion = MTLLanguageVersion3_1;
}
