// Metal source to a shared library of instrumented kernels, through clang, with a cache shared by all processes of the user.
#pragma once
#include <string>

namespace softmetal {

struct CompileOptions {
  bool fastMath = false;
  int languageVersion = 30;  // major * 10 + minor: __METAL_VERSION__ / 10
  std::string macros;        // -D options
};
struct Compiled {
  std::string libraryPath;
  std::string log;  // the compiler's errors; empty on success
  double seconds = 0;
  bool cached = false;
};
Compiled compile(const std::string& source, const CompileOptions& options);

// SOFTMETAL_COVERAGE=1: kernels count what runs, in the folder that they run in; what was compiled stays beside its library as .metal and
// .cc.
bool wantsCoverage();

// file:line of an instruction of a compiled library, or "?".
std::string locate(const std::string& libraryPath, unsigned long offset);

}  // namespace softmetal
