// File locations: URLs of files, the file manager, bundles.
#import "internal.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace fs = std::filesystem;

@implementation NSURL {
  NSString* _path;
}
@synthesize path = _path;
+ (NSURL*)fileURLWithPath:(NSString*)path {
  NSURL* url = [[[NSURL alloc] init] autorelease];
  url->_path = [path copy];
  return url;
}
+ (NSURL*)fileURLWithPath:(NSString*)path isDirectory:(BOOL)isDirectory {
  return [self fileURLWithPath:path];
}
+ (instancetype)URLWithString:(NSString*)string {
  return [string hasPrefix:@"file://"] ? (id)[self fileURLWithPath:[string substringFromIndex:7]] : nil;
}
- (void)dealloc {
  [_path release];
  [super dealloc];
}
- (NSString*)absoluteString {
  return [@"file://" stringByAppendingString:_path];
}
- (NSString*)lastPathComponent {
  return [_path lastPathComponent];
}
- (BOOL)isFileURL {
  return YES;
}
- (const char*)fileSystemRepresentation {
  return [_path UTF8String];
}
- (NSURL*)URLByAppendingPathComponent:(NSString*)component {
  return [NSURL fileURLWithPath:[_path stringByAppendingPathComponent:component]];
}
- (NSURL*)URLByDeletingLastPathComponent {
  return [NSURL fileURLWithPath:[_path stringByDeletingLastPathComponent]];
}
- (id)copyWithZone:(NSZone*)zone {
  return [self retain];
}
@end

static BOOL succeeded(const std::error_code& code, NSString* path, NSError** error) {
  if (!code) return YES;
  errno = code.value();
  foundation::setError(error, foundation::posixError(path));
  return NO;
}

@implementation NSFileManager
+ (NSFileManager*)defaultManager {
  return [[[NSFileManager alloc] init] autorelease];
}
- (NSURL*)temporaryDirectory {
  return [NSURL fileURLWithPath:NSTemporaryDirectory()];
}
- (BOOL)fileExistsAtPath:(NSString*)path {
  return [self fileExistsAtPath:path isDirectory:nullptr];
}
- (BOOL)fileExistsAtPath:(NSString*)path isDirectory:(BOOL*)isDirectory {
  std::error_code code;
  if (isDirectory) *isDirectory = fs::is_directory([path UTF8String], code);
  return fs::exists([path UTF8String], code);
}
- (BOOL)createDirectoryAtURL:(NSURL*)url
    withIntermediateDirectories:(BOOL)intermediates
                     attributes:(NSDictionary*)attributes
                          error:(NSError**)error {
  std::error_code code;
  if (intermediates)
    fs::create_directories([[url path] UTF8String], code);
  else
    fs::create_directory([[url path] UTF8String], code);
  return succeeded(code, [url path], error);
}
- (BOOL)removeItemAtPath:(NSString*)path error:(NSError**)error {
  std::error_code code;
  if (!fs::remove_all([path UTF8String], code) && !code) code = std::make_error_code(std::errc::no_such_file_or_directory);
  return succeeded(code, path, error);
}
- (BOOL)removeItemAtURL:(NSURL*)url error:(NSError**)error {
  return [self removeItemAtPath:[url path] error:error];
}
- (BOOL)moveItemAtURL:(NSURL*)source toURL:(NSURL*)destination error:(NSError**)error {
  std::error_code code;
  fs::rename([[source path] UTF8String], [[destination path] UTF8String], code);
  return succeeded(code, [source path], error);
}
- (NSArray<NSString*>*)contentsOfDirectoryAtPath:(NSString*)path error:(NSError**)error {
  std::error_code code;
  NSMutableArray* names = [NSMutableArray array];
  for (const auto& entry : fs::directory_iterator([path UTF8String], code))
    [names addObject:foundation::makeString(entry.path().filename())];
  return succeeded(code, path, error) ? names : nil;
}
- (NSURL*)URLForDirectory:(NSSearchPathDirectory)directory
                 inDomain:(NSSearchPathDomainMask)domain
        appropriateForURL:(NSURL*)url
                   create:(BOOL)create
                    error:(NSError**)error {
  NSString* name = directory == NSCachesDirectory ? @"Library/Caches" : @"Library/Application Support";
  NSURL* result = [NSURL fileURLWithPath:[NSHomeDirectory() stringByAppendingPathComponent:name]];
  if (create && ![self createDirectoryAtURL:result withIntermediateDirectories:YES attributes:nil error:error]) return nil;
  return result;
}
@end

@implementation NSBundle {
  NSString* _bundlePath;
}
@synthesize bundlePath = _bundlePath;
+ (NSBundle*)mainBundle {
  return [self bundleWithPath:foundation::makeString(fs::read_symlink("/proc/self/exe").parent_path())];
}
+ (instancetype)bundleWithPath:(NSString*)path {
  NSBundle* bundle = [[[NSBundle alloc] init] autorelease];
  bundle->_bundlePath = [path copy];
  return (id)bundle;
}
+ (NSBundle*)bundleForClass:(Class)cls {
  return [self mainBundle];
}
- (void)dealloc {
  [_bundlePath release];
  [super dealloc];
}
- (NSString*)resourcePath {
  return _bundlePath;
}
- (NSURL*)resourceURL {
  return [NSURL fileURLWithPath:_bundlePath];
}
- (NSString*)pathForResource:(NSString*)name ofType:(NSString*)extension {
  NSString* file = extension ? [NSString stringWithFormat:@"%@.%@", name, extension] : name;
  NSString* path = [_bundlePath stringByAppendingPathComponent:file];
  return [[NSFileManager defaultManager] fileExistsAtPath:path] ? path : nil;
}
- (NSURL*)URLForResource:(NSString*)name withExtension:(NSString*)extension {
  NSString* path = [self pathForResource:name ofType:extension];
  return path ? [NSURL fileURLWithPath:path] : nil;
}
@end

NSString* NSTemporaryDirectory(void) {
  return foundation::makeString(fs::temp_directory_path());
}
NSString* NSHomeDirectory(void) {
  const char* home = getenv("HOME");
  return foundation::makeString(home ? home : "/");
}
