// The Foundation subset.
#import <Foundation/Foundation.h>

#include <unistd.h>

#include "harness.h"
#include "softmetal/control.h"

static std::string text(NSString* string) {
  return string.UTF8String;
}

TEST(strings_format) {
  CHECK_EQUAL(text([NSString stringWithFormat:@"%d %5.2f %s %@ %lu %llx %c %% %p", -3, 1.5, "c", @"o", 7ul, 255ull, 'x', (void*)16]),
              "-3  1.50 c o 7 ff x % 0x10");
  CHECK_EQUAL(text([NSString stringWithFormat:@"%@ %zu %03d %-4s|", (id)nil, (size_t)9, 5, "ab"]), "(null) 9 005 ab|");
  CHECK_EQUAL(text([[NSString alloc] initWithFormat:@"%@", @42]), "42");
}

TEST(strings_compare_search_and_cut) {
  NSString* string = [@"weight" stringByAppendingString:@"norm"];
  CHECK([string isEqualToString:@"weightnorm"] && [string isEqual:@"weightnorm"] && [string hash] == [@"weightnorm" hash]);
  CHECK([string hasPrefix:@"weight"] && [string hasSuffix:@"norm"] && [string containsString:@"tno"]);
  CHECK_EQUAL([string rangeOfString:@"norm"].location, 6u);
  CHECK_EQUAL((long)[string rangeOfString:@"absent"].location, (long)NSNotFound);
  CHECK_EQUAL(text([string substringFromIndex:6]), "norm");
  CHECK_EQUAL(text([string substringToIndex:6]), "weight");
  CHECK_EQUAL([@"a" compare:@"b"], NSOrderedAscending);
  CHECK_EQUAL(text([[@"/a/b" stringByAppendingPathComponent:@"c.x"] lastPathComponent]), "c.x");
  CHECK_EQUAL(text([@"/a/b" stringByDeletingLastPathComponent]), "/a");
  NSMutableString* mutableString = [string mutableCopy];
  [mutableString appendFormat:@" %d", 2];
  CHECK_EQUAL(text(mutableString), "weightnorm 2");
  CHECK_EQUAL(text(string), "weightnorm");
}

TEST(numbers_keep_their_kind) {
  CHECK_EQUAL([@-5 intValue], -5);
  CHECK_EQUAL([@(~0ull) unsignedLongLongValue], ~0ull);
  CHECK_EQUAL([@2.5 doubleValue], 2.5);
  CHECK([@YES boolValue] && ![@NO boolValue]);
  CHECK([@3 isEqual:@3u] && ![@3 isEqual:@4]);
  CHECK_EQUAL(text([@12 stringValue]), "12");
}

TEST(collections_hold_enumerate_and_compare) {
  NSMutableArray* array = [@[ @"c", @"a" ] mutableCopy];
  [array addObject:@"b"];
  CHECK_EQUAL(text([[array sortedArrayUsingSelector:@selector(compare:)] componentsJoinedByString:@","]), "a,b,c");
  [array removeObject:@"a"];
  CHECK_EQUAL(array.count, 2u);
  CHECK_EQUAL([array indexOfObject:@"b"], 1u);
  array[0] = @"z";
  std::string seen;
  for (NSString* item in array) seen += text(item);
  CHECK_EQUAL(seen, "zb");
  CHECK_EQUAL(@[].count + @{}.count, 0u);
  NSMutableDictionary* dictionary = [@{@"k" : @1} mutableCopy];
  dictionary[@"l"] = @2;
  dictionary[@"k"] = nil;
  CHECK_EQUAL(dictionary.count, 1u);
  CHECK_EQUAL([dictionary[@"l"] intValue], 2);
  for (NSString* key in dictionary) CHECK_EQUAL(text(key), "l");
  NSMutableSet* set = [NSMutableSet setWithArray:@[ @1, @1, @2 ]];
  CHECK_EQUAL(set.count, 2u);
  CHECK([set containsObject:@2]);
}

TEST(errors_describe_themselves) {
  NSError* inner = [NSError errorWithDomain:@"inner" code:1 userInfo:nil];
  NSError* error = [NSError errorWithDomain:@"outer"
                                       code:-2
                                   userInfo:@{NSLocalizedDescriptionKey : @"it broke", NSUnderlyingErrorKey : inner}];
  CHECK_EQUAL(text(error.localizedDescription), "it broke");
  CHECK_EQUAL(error.code, -2);
  CHECK_EQUAL(text(error.underlyingErrors.firstObject.domain), "inner");
  CHECK(text(inner.localizedDescription) != "");
}

TEST(files_are_written_read_and_removed) {
  NSURL* directory = [[NSFileManager defaultManager].temporaryDirectory
      URLByAppendingPathComponent:[NSString stringWithFormat:@"softmetal-test-%d", (int)getpid()]];
  NSError* error = nil;
  CHECK([[NSFileManager defaultManager] createDirectoryAtURL:directory withIntermediateDirectories:YES attributes:nil error:&error]);
  NSURL* file = [directory URLByAppendingPathComponent:@"data"];
  CHECK([[NSData dataWithBytes:"abc" length:3] writeToURL:file options:NSDataWritingAtomic error:&error]);
  CHECK_EQUAL([NSData dataWithContentsOfFile:file.path].length, 3u);
  CHECK_EQUAL(text([NSString stringWithContentsOfFile:file.path encoding:NSUTF8StringEncoding error:&error]), "abc");
  CHECK_EQUAL([[NSFileManager defaultManager] contentsOfDirectoryAtPath:directory.path error:&error].count, 1u);
  CHECK([[NSFileManager defaultManager] removeItemAtURL:directory error:&error]);
  CHECK(![[NSFileManager defaultManager] fileExistsAtPath:file.path]);
  CHECK(![NSData dataWithContentsOfFile:file.path options:0 error:&error] && error.domain == NSPOSIXErrorDomain);
}

TEST(system_version_is_what_tests_set) {
  softmetal_set_os_version(13, 4, 1);
  NSProcessInfo* process = NSProcessInfo.processInfo;
  CHECK_EQUAL(process.operatingSystemVersion.majorVersion, 13);
  const NSOperatingSystemVersion earlier = {13, 4, 0}, later = {14, 0, 0};
  CHECK([process isOperatingSystemAtLeastVersion:earlier] && ![process isOperatingSystemAtLeastVersion:later]);
  CHECK_EQUAL(text(process.operatingSystemVersionString), "Version 13.4.1 (Software Metal)");
  CHECK(process.environment[@"PATH"] != nil && process.physicalMemory > 0);
}

FATAL_TEST(index_beyond_an_array, "NSArray index 1 beyond count 1") {
  @autoreleasepool {
    (void)@[ @1 ][1];
  }
}
FATAL_TEST(mutation_during_enumeration, "mutated while it was enumerated") {
  @autoreleasepool {
    NSMutableArray* array = [@[ @1, @2, @3 ] mutableCopy];
    for (id item in array) [array addObject:item];
  }
}
