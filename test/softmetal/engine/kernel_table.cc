#include "kernel_table.h"

#include "../msl/abi.h"

namespace softmetal {
namespace {

const std::map<std::string, int>& argumentKinds() {
  static const auto* kinds = new std::map<std::string, int>{
      {"buffer", kSmBuffer},
      {"threadgroup", kSmThreadgroupMemory},
      {"thread_position_in_grid", kSmThreadPositionInGrid},
      {"thread_position_in_threadgroup", kSmThreadPositionInThreadgroup},
      {"threadgroup_position_in_grid", kSmThreadgroupPositionInGrid},
      {"threads_per_threadgroup", kSmThreadsPerThreadgroup},
      {"threadgroups_per_grid", kSmThreadgroupsPerGrid},
      {"threads_per_grid", kSmThreadsPerGrid},
      {"dispatch_threads_per_threadgroup", kSmDispatchThreadsPerThreadgroup},
      {"thread_index_in_threadgroup", kSmThreadIndexInThreadgroup},
      {"simdgroup_index_in_threadgroup", kSmSimdgroupIndexInThreadgroup},
      {"thread_index_in_simdgroup", kSmThreadIndexInSimdgroup},
      {"simdgroups_per_threadgroup", kSmSimdgroupsPerThreadgroup},
      {"threads_per_simdgroup", kSmThreadsPerSimdgroup},
      {"thread_execution_width", kSmThreadsPerSimdgroup},
  };
  return *kinds;
}

}  // namespace

bool isParameterAttribute(const std::string& name) {
  return argumentKinds().count(name);
}

// Through everything that is called or initialised on the way.
void KernelTable::collectReferences(const std::string& name, std::set<std::string>& seen) const {
  if (!seen.insert(name).second) return;
  const auto found = references.find(name);
  if (found == references.end()) return;
  for (const std::string& next : found->second) collectReferences(next, seen);
}

void KernelTable::emitKernel(const KernelDeclaration& kernel, const std::string& id, std::string& out) const {
  out += "constexpr SmAttribute attributes" + id + "[] = {";
  for (const KernelParameter& p : kernel.parameters)
    out += "{" + std::to_string(argumentKinds().at(p.attribute)) + ", " + (p.index.empty() ? "0" : p.index) + "}, ";
  out += "{0, 0}};\nconst char* const names" + id + "[] = {";
  for (const KernelParameter& p : kernel.parameters) out += "\"" + p.name + "\", ";
  std::set<std::string> used;
  collectReferences(kernel.baseName, used);
  out += "nullptr};\nconst int constants" + id + "[] = {";
  for (size_t i = 0; i < constants.size(); i++)
    if (used.count(constants[i].name)) out += std::to_string(i) + ", ";
  const std::string& f = kernel.expression;
  out += "-1};\ntypedef sm::entry<decltype(&" + f + "), &" + f + ", attributes" + id + "> entry" + id + ";\n";
  out += "extern \"C\" __attribute__((used, visibility(\"default\"))) const SmKernel sm_kernel_" + id + " = {\"" + kernel.hostName +
         "\", (void (*)())&" + f + ", &entry" + id + "::run, attributes" + id + ", entry" + id + "::parameters, names" + id + ", entry" +
         id + "::count, " + (kernel.maxThreads.empty() ? "0" : kernel.maxThreads) + ", constants" + id + "};\n";
}

std::string KernelTable::emit() const {
  std::string out = "\n# 1 \"(entry points)\"\nnamespace sm_entries {\n";
  for (size_t k = 0; k < kernels.size(); k++) emitKernel(kernels[k], std::to_string(k), out);
  out += "}\nextern \"C\" __attribute__((used, visibility(\"default\"))) const SmConstant sm_constants[] = {\n";
  for (const FunctionConstant& c : constants)
    out += "{\"" + c.name + "\", " + c.index + ", sizeof(" + c.name + "), sm::dataType<metal::detail::removeConst<decltype(" + c.name +
           ")>::type>::value, " + (c.optional ? "true" : "false") + "},\n";
  return out + "{nullptr, 0, 0, 0, false}};\n";
}

}  // namespace softmetal
