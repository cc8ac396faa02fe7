#include "metal/metal.h"

// Compiled in place of the Metal backend where Metal does not exist.
namespace weightnorm::metal {

std::shared_ptr<core::Device> metalDevice(std::string* reason) {
  if (reason) *reason = "this build has no Metal backend: Metal needs macOS 13 or later on Apple silicon";
  return nullptr;
}

SourceHashes sourceHashes() {
  return {"", ""};
}

std::vector<CompileRecord> compileRecords(core::Device&) {
  return {};
}

std::vector<KernelFunction> kernelFunctions(core::Device&) {
  return {};
}

}  // namespace weightnorm::metal
