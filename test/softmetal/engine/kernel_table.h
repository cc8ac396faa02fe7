// What the rewriter has learnt about kernels and function constants, and the table it becomes at the end of the rewritten source.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

namespace softmetal {

struct KernelParameter {
  std::string attribute, index, name;
};
struct KernelDeclaration {
  std::string hostName;    // what newFunctionWithName: calls it
  std::string expression;  // its name with template arguments, as C++ names it
  std::string baseName;    // without them
  std::string maxThreads;  // argument of [[max_total_threads_per_threadgroup]], or empty
  std::vector<KernelParameter> parameters;
};
struct FunctionConstant {
  std::string name, index;
  bool optional = false;  // the source asks is_function_constant_defined
};

struct KernelTable {
  std::vector<KernelDeclaration> kernels;
  std::vector<FunctionConstant> constants;
  std::map<std::string, std::set<std::string>> references;  // names that a function's body or a variable's initialiser mentions

  std::string emit() const;

 private:
  void collectReferences(const std::string& name, std::set<std::string>& seen) const;
  void emitKernel(const KernelDeclaration& kernel, const std::string& id, std::string& out) const;
};

// The attribute is one that a kernel's parameter may have.
bool isParameterAttribute(const std::string& name);

}  // namespace softmetal
