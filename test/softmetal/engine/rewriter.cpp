#include "rewriter.h"

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "../msl/abi.h"
#include "lexer.h"

namespace softmetal {
namespace {

const std::map<std::string, int> kArgumentKinds = {
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

const std::set<std::string>& vectorTypes() {
  static const auto* names = [] {
    auto* set = new std::set<std::string>;
    for (const char* scalar : {"float", "half", "bfloat", "int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "bool"})
      for (const char* count : {"2", "3", "4"}) set->insert(std::string(scalar) + count);
    return set;
  }();
  return *names;
}

struct Parameter {
  std::string attribute, index, name;
};
struct Kernel {
  std::string hostName, expression, baseName, maxThreads;
  std::vector<Parameter> parameters;
};
struct FunctionConstant {
  std::string name, index, type;
  bool optional = false;
};

class Rewriter {
 public:
  explicit Rewriter(const std::string& source) : tokens_(tokenize(source)) {}

  Rewritten run() {
    for (at_ = 0; at_ < tokens_.size() && error_.empty(); at_++) step();
    if (error_.empty()) emitKernels();
    return {error_.empty() ? out_ : "", error_};
  }

 private:
  const std::string& text(size_t i) const {
    static const std::string kEnd;
    return i < tokens_.size() ? tokens_[i].text : kEnd;
  }
  size_t next(size_t i) const {
    do i++;
    while (i < tokens_.size() && tokens_[i].isSpace);
    return i;
  }
  // Position behind the bracket that closes the one at i.
  size_t behind(size_t i, const char* open, const char* close) const {
    int depth = 0;
    for (; i < tokens_.size(); i = next(i)) {
      if (text(i) == open) depth++;
      if (text(i) == close && --depth == 0) return next(i);
    }
    return i;
  }
  // White space between two positions, so that what is removed leaves its lines behind.
  std::string newlines(size_t from, size_t to) const {
    std::string lines;
    for (size_t i = from; i < to && i < tokens_.size(); i++)
      if (tokens_[i].isSpace) lines += tokens_[i].text;
    return lines;
  }
  std::string joined(size_t from, size_t to) const {
    std::string all;
    for (size_t i = from; i < to; i++) all += tokens_[i].text;
    return all;
  }
  void fail(const std::string& message) {
    std::string file = "program_source";
    size_t line = 1;
    for (size_t i = 0; i < at_ && i < tokens_.size(); i++) {
      const std::string& t = tokens_[i].text;
      if (tokens_[i].isSpace && t[0] == '#') {
        line = strtoul(t.c_str() + t.find_first_of("0123456789"), nullptr, 10) - 1;
        const auto quote = t.find('"');
        if (quote != std::string::npos) file = t.substr(quote + 1, t.find('"', quote + 1) - quote - 1);
      }
      for (char c : t) line += c == '\n';
    }
    error_ = file + ":" + std::to_string(line) + ": error: " + message;
  }

  void step() {
    const Token& token = tokens_[at_];
    const std::string& s = token.text;
    if (token.isSpace) {
      out_ += s;
      return;
    }
    track(s);
    if (s == "[[") return attribute();
    if (s == "kernel") return kernel();
    if (s == "threadgroup" && depth_ > 0) return threadgroupQualifier();
    if (s == "using" || s == "typedef") noteAlias();
    if (isHalfLiteral(s)) {
      out_ += "(half)" + s.substr(0, s.size() - 1) + "f";
      return;
    }
    if (depth_ > 0 && s == "is_function_constant_defined") return constantDefined();
    if (isIdentifier(s)) {
      if (depth_ == 0) lastNames_.push_back(s);
      if (functionDepth_ >= 0 && depth_ > functionDepth_) references_[function_].insert(s);
      if (!initialised_.empty()) references_[initialised_].insert(s);
      if (depth_ == 0 && s == "is_function_constant_defined") return constantDefined();
      if (vectorConstructor()) return;
    }
    out_ += s;
  }

  static bool isHalfLiteral(const std::string& s) {
    const bool isNumber = isdigit(static_cast<unsigned char>(s[0])) || (s[0] == '.' && s.size() > 1);
    return isNumber && (s.back() == 'h' || s.back() == 'H') && s.compare(0, 2, "0x") && s.compare(0, 2, "0X");
  }

  void track(const std::string& s) {
    if (s == "{") {
      if (depth_ == namespaceDepth_ && isFunctionBody()) {
        functionDepth_ = depth_;
        function_ = candidate_;
      } else if (depth_ == namespaceDepth_ && lastNames_.size() && statementHas("namespace")) {
        namespaceDepth_++;
      }
      depth_++;
    }
    if (s == "}") {
      depth_--;
      if (depth_ < namespaceDepth_) namespaceDepth_ = depth_;
      if (functionDepth_ == depth_) functionDepth_ = -1, inKernel_ = false;
    }
    if (s == "(" && depth_ == namespaceDepth_ && functionDepth_ < 0 && !lastNames_.empty() && parens_ == 0 && !statementHas("="))
      candidate_ = lastNames_.back();
    if (s == "(") parens_++;
    if (s == ")") parens_--;
    if (s == "=" && depth_ == namespaceDepth_ && !lastNames_.empty()) {
      initialised_ = lastNames_.back();
      lastNames_.push_back(s);
    }
    if (s == ";") initialised_.clear();
    if (s == ";" || s == "{" || s == "}") {
      lastNames_.clear();
      templateKind_ = kNone;
      hostName_.clear();
      maxThreads_.clear();
      candidate_ = s == "{" ? candidate_ : "";
    }
    if (s == "template") templateKind_ = text(next(at_)) == "<" ? kTemplate : kInstantiation;
  }
  bool statementHas(const std::string& name) const {
    for (const std::string& n : lastNames_)
      if (n == name) return true;
    return false;
  }
  bool isFunctionBody() const {
    return !candidate_.empty() && !statementHas("namespace") && !statementHas("struct") && !statementHas("enum") &&
           !statementHas("union") && !statementHas("class") && !statementHas("=");
  }

  // [[name(argument)]] outside a kernel's parameter list.
  void attribute() {
    const size_t nameAt = next(at_), end = behindAttribute(at_);
    const std::string& name = text(nameAt);
    const size_t argument = next(nameAt);
    std::string value;
    if (text(argument) == "(") {
      const size_t close = behind(argument, "(", ")");
      for (size_t i = next(argument); next(i) <= close && i < close; i = next(i))
        if (next(i) != close || text(i) != ")") value += text(i);
      if (!value.empty() && value.back() == ')' && balance(value) < 0) value.pop_back();
    }
    if (name == "host_name") {
      hostName_.clear();
      for (size_t i = argument; i < end; i = next(i))
        if (text(i)[0] == '"') hostName_ += text(i).substr(1, text(i).size() - 2);
    } else if (name == "max_total_threads_per_threadgroup") {
      maxThreads_ = value;
    } else if (name == "function_constant") {
      functionConstant(value);
    } else if (name == "kernel") {
      at_ = lastOf(end);
      return kernelSignature(next(at_));
    }
    out_ += newlines(at_, end);
    at_ = lastOf(end);
  }
  static int balance(const std::string& s) {
    int depth = 0;
    for (char c : s) depth += (c == '(') - (c == ')');
    return depth;
  }
  size_t behindAttribute(size_t i) const {
    int depth = 0;
    for (i = next(i); i < tokens_.size(); i = next(i)) {
      if (text(i) == "[") depth++;
      if (text(i) == "]") depth--;
      if (text(i) == "]]" && depth <= 0) return next(i);
    }
    return i;
  }
  // The loop steps past at_, so processing resumes at the token behind it.
  size_t lastOf(size_t end) const { return end - 1 < at_ ? at_ : trimmed(end); }
  size_t trimmed(size_t end) const {
    size_t i = end - 1;
    while (i > at_ && tokens_[i].isSpace) i--;
    return i;
  }

  void functionConstant(const std::string& index) {
    if (lastNames_.size() < 2) return fail("[[function_constant]] without a declaration");
    FunctionConstant constant;
    constant.name = lastNames_.back();
    constant.index = index;
    constant.type = lastNames_[lastNames_.size() - 2];
    out_ += " = sm::functionConstant<metal::detail::removeConst<decltype(" + constant.name + ")>::type>(" + index + ")";
    constants_.push_back(constant);
  }

  void constantDefined() {
    const size_t open = next(at_), nameAt = next(open), close = next(nameAt);
    for (FunctionConstant& constant : constants_) {
      if (constant.name != text(nameAt)) continue;
      constant.optional = true;
      if (functionDepth_ >= 0) references_[function_].insert(constant.name);
      out_ += "sm::functionConstantDefined(" + constant.index + ")";
      at_ = close;
      return;
    }
    fail("is_function_constant_defined of '" + text(nameAt) + "', which is not a function constant");
  }

  void kernel() {
    out_ += " ";
    kernelSignature(next(at_));
  }

  // i: first token behind `kernel`. Records the kernel and erases the parameters' attributes.
  void kernelSignature(size_t i) {
    const size_t first = i;
    while (text(i) == "[[") {
      if (text(next(i)) == "max_total_threads_per_threadgroup") maxThreads_ = joined(next(next(i)), trimmedAttribute(i));
      i = behindAttribute(i);
    }
    Kernel kernel;
    if (text(i) == "decltype") {
      i = behind(next(i), "(", ")");
    } else if (text(i) == "void" || (templateKind_ == kInstantiation && text(next(next(i))) == "<")) {
      i = next(i);  // void, or the name of the function's type
    } else {
      return fail("a kernel must return void, not '" + text(i) + "'");
    }
    kernel.baseName = kernel.expression = text(i);
    i = next(i);
    if (text(i) == "<") {
      const size_t end = behind(i, "<", ">");
      kernel.expression += joined(i, end);
      i = end;
    }
    kernel.hostName = hostName_.empty() ? kernel.baseName : hostName_;
    kernel.maxThreads = maxThreads_;
    std::string erased = joined(first, i);
    eraseAttributes(erased);
    out_ += erased;
    if (text(i) == "(") i = parameters(i, kernel);
    if (!error_.empty()) return;
    if (templateKind_ == kTemplate)
      templates_[kernel.baseName] = kernel;
    else if (templateKind_ == kInstantiation && templates_.count(kernel.baseName))
      addInstance(kernel);
    else if (text(i) != ";")
      kernels_.push_back(kernel);
    candidate_ = kernel.baseName;
    inKernel_ = true;
    at_ = i - 1;
  }
  void addInstance(Kernel& kernel) {
    const Kernel& primary = templates_[kernel.baseName];
    kernel.parameters = primary.parameters;
    if (kernel.maxThreads.empty()) kernel.maxThreads = primary.maxThreads;
    kernels_.push_back(kernel);
  }
  size_t trimmedAttribute(size_t i) const {
    size_t end = behindAttribute(i) - 1;
    while (tokens_[end].isSpace || text(end) == "]]") end--;
    return end + 1;
  }
  static void eraseAttributes(std::string& s) {
    for (size_t open; (open = s.find("[[")) != std::string::npos;) {
      const size_t close = s.find("]]", open);
      s.erase(open, close == std::string::npos ? close : close + 2 - open);
    }
  }

  size_t parameters(size_t i, Kernel& kernel) {
    int depth = 0;
    Parameter current;
    bool any = false;
    for (;; i++) {
      if (i >= tokens_.size()) {
        fail("unterminated parameter list of kernel '" + kernel.baseName + "'");
        return i;
      }
      const std::string& s = text(i);
      if (tokens_[i].isSpace) {
        out_ += s;
        continue;
      }
      if (s == "[[") {
        const size_t end = behindAttribute(i);
        current.attribute = text(next(i));
        current.index.clear();
        for (size_t k = next(next(next(i))); next(k) < end && text(next(k)) != "]]"; k = next(k)) current.index += text(k);
        if (text(next(next(i))) == "(") {
          size_t k = next(next(next(i)));
          current.index.clear();
          for (; text(k) != ")" && k < end; k = next(k)) current.index += text(k);
        }
        out_ += newlines(i, end);
        i = end - 1;
        while (tokens_[i].isSpace) i--;
        continue;
      }
      if (s == "(" || s == "<" || s == "[") depth++;
      if (s == ")" || s == ">" || s == "]") depth--;
      if ((s == "," && depth == 1) || depth == 0) {
        if (any && !addParameter(kernel, current)) return i;
        current = {};
        any = false;
      } else if (s != "(" || depth > 1) {
        any = true;
        if (isIdentifier(s)) current.name = s;
      }
      out_ += s;
      if (depth == 0) return next(i);
    }
  }
  bool addParameter(Kernel& kernel, const Parameter& parameter) {
    const bool known = kArgumentKinds.count(parameter.attribute);
    if (!known)
      fail("parameter '" + parameter.name + "' of kernel '" + kernel.baseName + "' has no " +
           (parameter.attribute.empty() ? "attribute" : "known attribute: [[" + parameter.attribute + "]]"));
    kernel.parameters.push_back(parameter);
    return known;
  }

  // `threadgroup` in a function: a pointer's address space, or a variable of the threadgroup.
  void threadgroupQualifier() {
    bool pointer = false;
    int depth = 0;
    for (size_t i = next(at_); i < tokens_.size(); i = next(i)) {
      const std::string& s = text(i);
      if (s == "<" || s == "(") depth++;
      if (s == ">" || s == ")") depth--;
      if (depth == 0 && (s == "*" || s == "&")) pointer = true;
      if (pointer || depth < 0 || (depth == 0 && (s == ";" || s == "=" || s == "," || s == "[" || s == "{"))) break;
    }
    if (!pointer && parens_ == 0 && !(inKernel_ && depth_ == functionDepth_ + 1))
      return fail("a threadgroup variable must be declared in the outermost scope of a kernel");
    out_ += pointer || parens_ > 0 ? "threadgroup" : "SM_THREADGROUP_VARIABLE";
  }

  // float4(...), vec<T, 4>(...) and aliases of them.
  bool vectorConstructor() {
    const std::string& s = tokens_[at_].text;
    size_t i = next(at_);
    if (s == "vec" && text(i) == "<") {
      const size_t end = behind(i, "<", ">");
      if (text(end) != "(" || functionDepth_ < 0) return false;
      out_ += "metal::sm_make<metal::vec" + joined(i, end) + ">";
      at_ = end - 1;
      return true;
    }
    if (!(vectorTypes().count(s) || aliases_.count(s)) || text(i) != "(") return false;
    size_t previous = at_;
    while (previous > 0 && tokens_[--previous].isSpace) {
    }
    if (text(previous) == "." || text(previous) == "->") return false;
    out_ += "metal::sm_make<" + s + ">";
    return true;
  }
  void noteAlias() {
    std::vector<std::string> words;
    for (size_t i = next(at_); i < tokens_.size() && text(i) != ";" && words.size() < 16; i = next(i)) words.push_back(text(i));
    if (words.size() < 2) return;
    const auto isVector = [&](size_t k) { return vectorTypes().count(words[k]) || words[k] == "vec"; };
    if (text(at_) == "using" && words[1] == "=") {
      for (size_t k = 2; k < words.size() && k < 5; k++)
        if (isVector(k)) aliases_.insert(words[0]);
    } else if (text(at_) == "typedef" && isVector(0)) {
      aliases_.insert(words.back());
    }
  }

  // Function constants that a function uses, through everything it calls.
  void collectConstants(const std::string& function, std::set<std::string>& seen, std::set<std::string>& names) const {
    const auto found = references_.find(function);
    if (found == references_.end() || !seen.insert(function).second) return;
    for (const std::string& name : found->second) {
      names.insert(name);
      collectConstants(name, seen, names);
    }
  }

  void emitKernels() {
    out_ += "\n# 1 \"(entry points)\"\nnamespace sm_entries {\n";
    for (size_t k = 0; k < kernels_.size(); k++) emitKernel(kernels_[k], std::to_string(k));
    out_ += "}\nextern \"C\" __attribute__((used, visibility(\"default\"))) const SmConstant sm_constants[] = {\n";
    for (const FunctionConstant& c : constants_)
      out_ += "{\"" + c.name + "\", " + c.index + ", sizeof(" + c.name + "), sm::dataType<metal::detail::removeConst<decltype(" + c.name +
              ")>::type>::value, " + (c.optional ? "true" : "false") + "},\n";
    out_ += "{nullptr, 0, 0, 0, false}};\n";
  }
  void emitKernel(const Kernel& kernel, const std::string& id) {
    out_ += "constexpr SmAttribute attributes" + id + "[] = {";
    for (const Parameter& p : kernel.parameters)
      out_ += "{" + std::to_string(kArgumentKinds.at(p.attribute)) + ", " + (p.index.empty() ? "0" : p.index) + "}, ";
    out_ += "{0, 0}};\nconst char* const names" + id + "[] = {";
    for (const Parameter& p : kernel.parameters) out_ += "\"" + p.name + "\", ";
    std::set<std::string> seen, used;
    collectConstants(kernel.baseName, seen, used);
    out_ += "nullptr};\nconst int constants" + id + "[] = {";
    for (size_t i = 0; i < constants_.size(); i++)
      if (used.count(constants_[i].name)) out_ += std::to_string(i) + ", ";
    const std::string& f = kernel.expression;
    out_ += "-1};\ntypedef sm::entry<decltype(&" + f + "), &" + f + ", attributes" + id + "> entry" + id + ";\n";
    out_ += "extern \"C\" __attribute__((used, visibility(\"default\"))) const SmKernel sm_kernel_" + id + " = {\"" + kernel.hostName +
            "\", (void (*)())&" + f + ", &entry" + id + "::run, attributes" + id + ", entry" + id + "::parameters, names" + id +
            ", entry" + id + "::count, " + (kernel.maxThreads.empty() ? "0" : kernel.maxThreads) + ", constants" + id + "};\n";
  }

  enum TemplateKind { kNone, kTemplate, kInstantiation };
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::string out_, error_;
  int depth_ = 0, namespaceDepth_ = 0, functionDepth_ = -1, parens_ = 0;
  bool inKernel_ = false;
  TemplateKind templateKind_ = kNone;
  std::string hostName_, maxThreads_, candidate_, function_;
  std::string initialised_;  // the variable whose initialiser is being read, at namespace scope
  std::vector<std::string> lastNames_;  // identifiers of the current statement at namespace scope
  std::set<std::string> aliases_;
  std::map<std::string, std::set<std::string>> references_;
  std::map<std::string, Kernel> templates_;
  std::vector<Kernel> kernels_;
  std::vector<FunctionConstant> constants_;
};

}  // namespace

Rewritten rewrite(const std::string& preprocessed) { return Rewriter(preprocessed).run(); }

}  // namespace softmetal
