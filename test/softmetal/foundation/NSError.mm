// Errors, and exceptions as a type that @catch may name.
#import "internal.h"

NSErrorDomain const NSCocoaErrorDomain = @"NSCocoaErrorDomain";
NSErrorDomain const NSPOSIXErrorDomain = @"NSPOSIXErrorDomain";
NSErrorUserInfoKey const NSLocalizedDescriptionKey = @"NSLocalizedDescription";
NSErrorUserInfoKey const NSUnderlyingErrorKey = @"NSUnderlyingError";

@implementation NSError {
  NSErrorDomain _domain;
  NSInteger _code;
  NSDictionary<NSErrorUserInfoKey, id>* _userInfo;
}
@synthesize domain = _domain, code = _code, userInfo = _userInfo;
+ (instancetype)errorWithDomain:(NSErrorDomain)domain code:(NSInteger)code userInfo:(NSDictionary*)userInfo {
  return [[[self alloc] initWithDomain:domain code:code userInfo:userInfo] autorelease];
}
- (instancetype)initWithDomain:(NSErrorDomain)domain code:(NSInteger)code userInfo:(NSDictionary*)userInfo {
  if ((self = [super init])) {
    _domain = [domain copy];
    _code = code;
    _userInfo = userInfo ? [userInfo copy] : [[NSDictionary alloc] init];
  }
  return self;
}
- (void)dealloc {
  [_domain release];
  [_userInfo release];
  [super dealloc];
}
- (NSString*)localizedDescription {
  NSString* text = [_userInfo objectForKey:NSLocalizedDescriptionKey];
  return text ? text : [NSString stringWithFormat:@"The operation couldn't be completed. (%@ error %ld.)", _domain, _code];
}
- (NSString*)localizedFailureReason {
  return nil;
}
- (NSArray<NSError*>*)underlyingErrors {
  NSError* error = [_userInfo objectForKey:NSUnderlyingErrorKey];
  return error ? [NSArray arrayWithObject:error] : [NSArray array];
}
- (NSString*)description {
  return [NSString stringWithFormat:@"Error Domain=%@ Code=%ld \"%@\"", _domain, _code, [self localizedDescription]];
}
- (id)copyWithZone:(NSZone*)zone {
  return [self retain];
}
@end

@implementation NSException {
  NSExceptionName _name;
  NSString* _reason;
}
@synthesize name = _name, reason = _reason;
- (void)dealloc {
  [_name release];
  [_reason release];
  [super dealloc];
}
- (id)copyWithZone:(NSZone*)zone {
  return [self retain];
}
@end
