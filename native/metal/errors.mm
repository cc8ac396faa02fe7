#include "metal/errors.h"

#import <Metal/Metal.h>

namespace weightnorm::metal {

namespace {

struct Meaning {
  core::Code code;
  const char* text;
};

Meaning meaning(NSInteger code) {
  switch (static_cast<MTLCommandBufferError>(code)) {
    case MTLCommandBufferErrorTimeout:
      return {core::Code::kExecution, "the GPU stopped the work for taking too long: process less at once"};
    case MTLCommandBufferErrorPageFault:
      return {core::Code::kExecution, "the GPU touched memory it may not"};
    case MTLCommandBufferErrorAccessRevoked:
      return {core::Code::kDeviceLost, "the system took the GPU away from this process: restart it"};
    case MTLCommandBufferErrorNotPermitted:
      return {core::Code::kDeviceLost, "the system does not permit this process to use the GPU: it may be in the background or sandboxed"};
    case MTLCommandBufferErrorOutOfMemory:
      return {core::Code::kMemory, "the GPU ran out of memory: dispose tensors or process less at once"};
    case MTLCommandBufferErrorInvalidResource:
      return {core::Code::kExecution, "the GPU was given memory that is gone"};
    case MTLCommandBufferErrorDeviceRemoved:
      return {core::Code::kDeviceLost, "the GPU was removed: restart the process"};
    case MTLCommandBufferErrorStackOverflow:
      return {core::Code::kExecution, "a GPU kernel overflowed its stack"};
    default:
      return {core::Code::kExecution, "the GPU could not run the work"};
  }
}

}  // namespace

std::string describe(NSError* error) {
  if (!error) return "no reason given";
  const char* text = error.localizedDescription.UTF8String;
  const char* domain = error.domain.UTF8String;
  return core::format("%s, code %ld: %s", domain ? domain : "unknown", static_cast<long>(error.code), text ? text : "");
}

core::Error commandBufferError(NSError* error) {
  const bool known = error && [error.domain isEqualToString:MTLCommandBufferErrorDomain];
  const Meaning found = meaning(known ? error.code : 0);
  return core::Error(found.code, core::format("%s (%s)", found.text, describe(error).c_str()));
}

}  // namespace weightnorm::metal
