#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

// What the rest of the add-on knows of Metal. Plain C++: also compiled where Metal is not built.
namespace weightnorm::metal {

// The system's GPU, one object shared by the whole process while anyone holds it. Null where there is none that can
// serve, with the reason and what to do about it in `reason`. Any thread.
std::shared_ptr<core::Device> metalDevice(std::string* reason);

// Hashes of the sources of this build, by which results of checks are told from those of other sources; empty without Metal.
struct SourceHashes {
  const char *kernels, *host;
};
SourceHashes sourceHashes();

// One run-time compilation: a library ("" function) or a pipeline, with its function constants spelled out.
struct CompileRecord {
  std::string library, function, constants;
  double milliseconds = 0;
};

// Everything compiled so far on a device that metalDevice() gave. Any thread.
std::vector<CompileRecord> compileRecords(core::Device& device);

// One kernel of this build: its file in kernels/ without ".metal", and its name.
struct KernelFunction {
  std::string library, function;
};

// Every kernel of this build, which compiles every library. Throws ERR_EXECUTION with the compiler's message. Any thread.
std::vector<KernelFunction> kernelFunctions(core::Device& device);

}  // namespace weightnorm::metal
