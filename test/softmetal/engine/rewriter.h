// Turns preprocessed Metal source into C++14 for the executor: threadgroup variables, vector constructors, function constants, and a
// table of kernels with what their attributes say. Lines stay where they are.
#pragma once
#include <string>

namespace softmetal {

struct Rewritten {
  std::string text;
  std::string error;  // in the form "file:line: error: message"; empty on success
};
Rewritten rewrite(const std::string& preprocessed);

}  // namespace softmetal
