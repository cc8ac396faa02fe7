#include "rewriter.h"

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "kernel_table.h"
#include "lexer.h"

namespace softmetal {
namespace {

bool isVectorType(const std::string& name) {
  static const auto* names = [] {
    auto* set = new std::set<std::string>;
    for (const char* scalar : {"float", "half", "bfloat", "int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "bool"})
      for (const char* count : {"2", "3", "4"}) set->insert(std::string(scalar) + count);
    return set;
  }();
  return names->count(name);
}

bool isHalfLiteral(const std::string& s) {
  const bool isNumber = isdigit(static_cast<unsigned char>(s[0])) || (s[0] == '.' && s.size() > 1);
  return isNumber && (s.back() == 'h' || s.back() == 'H') && s.compare(0, 2, "0x") && s.compare(0, 2, "0X");
}

struct Attribute {
  std::string name, argument;
};

// One pass over the tokens. Most are copied; what the shading language has beyond C++ is replaced or erased.
class Rewriter {
 public:
  explicit Rewriter(const std::string& source) : tokens_(tokenize(source)) {}

  Rewritten run() {
    for (at_ = 0; at_ < tokens_.size() && error_.empty(); at_++) step();
    if (!error_.empty()) return {"", error_};
    return {out_ + table_.emit(), ""};
  }

 private:
  // --- the token stream
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
  std::string joined(size_t from, size_t to) const {
    std::string all;
    for (size_t i = from; i < to; i++) all += tokens_[i].text;
    return all;
  }
  // The white space of what is left out, so that lines stay where they are.
  std::string spaceOf(size_t from, size_t to) const {
    std::string space;
    for (size_t i = from; i < to && i < tokens_.size(); i++)
      if (tokens_[i].isSpace) space += tokens_[i].text;
    return space;
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

  // --- attributes
  // Those of the list [[a, b(c)]] at i; end becomes the position behind it.
  std::vector<Attribute> attributesAt(size_t i, size_t& end) const {
    std::vector<Attribute> list(1);
    int depth = 0;
    for (i = next(i); i < tokens_.size() && (text(i) != "]]" || depth > 0); i = next(i)) {
      const std::string& s = text(i);
      if (s == ")" || s == "]") depth--;
      if (depth == 0 && s == ",")
        list.emplace_back();
      else if (depth > 0)
        list.back().argument += s;
      else if (s != "(" && s != ")")
        list.back().name += s;
      if (s == "(" || s == "[") depth++;
    }
    end = next(i);
    return list;
  }

  // --- one token
  void step() {
    const Token& token = tokens_[at_];
    const std::string& s = token.text;
    if (token.isSpace) {
      out_ += s;
      return;
    }
    followScopes(s);
    if (s == "[[") return attributeList();
    if (s == "kernel") return kernelSignature(next(at_));
    if (s == "threadgroup" && depth_ > 0) return threadgroupQualifier();
    if (s == "is_function_constant_defined") return constantDefined();
    if (s == "using" || s == "typedef") noteAlias();
    if (isHalfLiteral(s)) {
      out_ += "(half)" + s.substr(0, s.size() - 1) + "f";
      return;
    }
    if (isIdentifier(s)) {
      if (depth_ == 0) statement_.push_back(s);
      if (insideFunction()) table_.references[function_].insert(s);
      if (!initialised_.empty()) table_.references[initialised_].insert(s);
      if (vectorConstructor()) return;
    }
    out_ += s;
  }

  bool insideFunction() const { return functionDepth_ >= 0 && depth_ > functionDepth_; }
  bool statementHas(const char* name) const {
    for (const std::string& n : statement_)
      if (n == name) return true;
    return false;
  }
  bool startsFunctionBody() const {
    for (const char* other : {"namespace", "struct", "enum", "union", "class", "="})
      if (statementHas(other)) return false;
    return !candidate_.empty();
  }

  void followScopes(const std::string& s) {
    const bool atNamespaceScope = depth_ == namespaceDepth_;
    if (s == "{") {
      if (atNamespaceScope && startsFunctionBody()) {
        functionDepth_ = depth_;
        function_ = candidate_;
      } else if (atNamespaceScope && statementHas("namespace")) {
        namespaceDepth_++;
      }
      depth_++;
    } else if (s == "}") {
      depth_--;
      namespaceDepth_ = std::min(namespaceDepth_, depth_);
      if (functionDepth_ == depth_) {
        functionDepth_ = -1;
        inKernel_ = false;
      }
    } else if (s == "(") {
      if (atNamespaceScope && parens_ == 0 && !statement_.empty() && !statementHas("=")) candidate_ = statement_.back();
      parens_++;
    } else if (s == ")") {
      parens_--;
    } else if (s == "=" && atNamespaceScope && !statement_.empty()) {
      initialised_ = statement_.back();
      statement_.push_back(s);
    } else if (s == "template") {
      templateKind_ = text(next(at_)) == "<" ? kTemplate : kInstantiation;
    }
    if (s == ";") initialised_.clear();
    if (s == ";" || s == "{" || s == "}") {
      statement_.clear();
      templateKind_ = kNone;
      hostName_.clear();
      maxThreads_.clear();
      if (s != "{") candidate_.clear();
    }
  }

  // A list outside a kernel's parameters.
  void attributeList() {
    size_t end;
    const std::vector<Attribute> list = attributesAt(at_, end);
    bool isKernel = false;
    for (const Attribute& attribute : list) {
      if (attribute.name == "host_name") hostName_ = unquoted(attribute.argument);
      if (attribute.name == "max_total_threads_per_threadgroup") maxThreads_ = attribute.argument;
      if (attribute.name == "function_constant") functionConstant(attribute.argument);
      if (attribute.name == "kernel") isKernel = true;
    }
    out_ += spaceOf(at_, end);
    at_ = end - 1;
    if (isKernel) kernelSignature(end);
  }
  static std::string unquoted(const std::string& literals) {
    std::string result;
    for (char c : literals)
      if (c != '"') result += c;
    return result;
  }

  // --- function constants
  void functionConstant(const std::string& index) {
    if (statement_.empty()) return fail("[[function_constant]] without a declaration");
    const std::string& name = statement_.back();
    out_ += " = sm::functionConstant<metal::detail::removeConst<decltype(" + name + ")>::type>(" + index + ")";
    table_.constants.push_back({name, index});
  }
  void constantDefined() {
    const size_t name = next(next(at_));
    for (FunctionConstant& constant : table_.constants) {
      if (constant.name != text(name)) continue;
      constant.optional = true;
      if (insideFunction()) table_.references[function_].insert(constant.name);
      if (!initialised_.empty()) table_.references[initialised_].insert(constant.name);
      out_ += "sm::functionConstantDefined(" + constant.index + ")";
      at_ = next(name);
      return;
    }
    fail("is_function_constant_defined of '" + text(name) + "', which is not a function constant");
  }

  // --- kernels
  // i: first token behind `kernel` or [[kernel]]. Records the kernel and erases the parameters' attributes.
  void kernelSignature(size_t i) {
    const size_t first = i;
    while (text(i) == "[[") {
      for (const Attribute& attribute : attributesAt(i, i))
        if (attribute.name == "max_total_threads_per_threadgroup") maxThreads_ = attribute.argument;
    }
    out_ += " " + spaceOf(first, i);
    const size_t type = i;
    if (text(i) == "decltype") {
      i = behind(next(i), "(", ")");
    } else if (text(i) == "void" || (templateKind_ == kInstantiation && text(next(next(i))) == "<")) {
      i = next(i);  // void, or the name of the function's type
    } else {
      return fail("a kernel must return void, not '" + text(i) + "'");
    }
    KernelDeclaration kernel;
    kernel.baseName = kernel.expression = text(i);
    i = next(i);
    if (text(i) == "<") {
      const size_t arguments = i;
      i = behind(i, "<", ">");
      kernel.expression += joined(arguments, i);
    }
    kernel.hostName = hostName_.empty() ? kernel.baseName : hostName_;
    kernel.maxThreads = maxThreads_;
    out_ += joined(type, i);
    if (text(i) == "(") i = parameters(i, kernel);
    if (error_.empty()) declare(kernel, text(i) == ";");
    at_ = i - 1;
  }
  void declare(KernelDeclaration& kernel, bool isOnlyDeclared) {
    if (templateKind_ == kTemplate) {
      templates_[kernel.baseName] = kernel;
    } else if (templateKind_ == kInstantiation) {
      if (!templates_.count(kernel.baseName)) return fail("instantiation of '" + kernel.baseName + "', which is not a kernel template");
      kernel.parameters = templates_[kernel.baseName].parameters;
      if (kernel.maxThreads.empty()) kernel.maxThreads = templates_[kernel.baseName].maxThreads;
      table_.kernels.push_back(kernel);
    } else if (!isOnlyDeclared) {
      table_.kernels.push_back(kernel);
    }
    candidate_ = kernel.baseName;
    inKernel_ = true;
  }

  // The list that opens at i; returns the position behind it.
  size_t parameters(size_t i, KernelDeclaration& kernel) {
    int depth = 0;
    KernelParameter current;
    bool any = false;
    while (i < tokens_.size()) {
      const std::string& s = text(i);
      if (s == "[[") {
        size_t end;
        const Attribute attribute = attributesAt(i, end).front();
        current.attribute = attribute.name;
        current.index = attribute.argument;
        out_ += spaceOf(i, end);
        i = end;
        continue;
      }
      if (s == "(" || s == "<" || s == "[") depth++;
      if (s == ")" || s == ">" || s == "]") depth--;
      if (depth == 0 || (s == "," && depth == 1)) {
        if (any && !isParameterAttribute(current.attribute)) {
          fail("parameter '" + current.name + "' of kernel '" + kernel.baseName + "' has no " +
               (current.attribute.empty() ? "attribute" : "known attribute: [[" + current.attribute + "]]"));
          return i;
        }
        if (any) kernel.parameters.push_back(current);
        current = {};
        any = false;
      } else if (!tokens_[i].isSpace && (s != "(" || depth > 1)) {
        any = true;
        if (isIdentifier(s)) current.name = s;
      }
      out_ += s;
      i++;
      if (depth == 0 && s == ")") return tokens_[i].isSpace ? next(i) : i;
    }
    fail("unterminated parameter list of kernel '" + kernel.baseName + "'");
    return i;
  }

  // --- expressions and declarations
  // `threadgroup` in a function: a pointer's address space, or a variable of the threadgroup.
  void threadgroupQualifier() {
    bool isPointer = parens_ > 0;
    int depth = 0;
    for (size_t i = next(at_); i < tokens_.size() && !isPointer; i = next(i)) {
      const std::string& s = text(i);
      if (s == "<" || s == "(") depth++;
      if (s == ">" || s == ")") depth--;
      if (depth == 0 && (s == "*" || s == "&")) isPointer = true;
      if (depth < 0 || (depth == 0 && (s == ";" || s == "=" || s == "," || s == "[" || s == "{"))) break;
    }
    if (!isPointer && !(inKernel_ && depth_ == functionDepth_ + 1))
      return fail("a threadgroup variable must be declared in the outermost scope of a kernel");
    out_ += isPointer ? "threadgroup" : "SM_THREADGROUP_VARIABLE";
  }

  // float4(...), vec<T, 4>(...) and aliases of them.
  bool vectorConstructor() {
    const std::string& s = tokens_[at_].text;
    const size_t i = next(at_);
    if (s == "vec" && text(i) == "<") {
      const size_t end = behind(i, "<", ">");
      if (text(end) != "(" || !insideFunction()) return false;
      out_ += "metal::sm_make<metal::vec" + joined(i, end) + ">";
      at_ = end - 1;
      return true;
    }
    if (!(isVectorType(s) || aliases_.count(s)) || text(i) != "(") return false;
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
    const auto namesVector = [&](size_t k) { return isVectorType(words[k]) || words[k] == "vec"; };
    if (text(at_) == "using" && words[1] == "=") {
      for (size_t k = 2; k < words.size() && k < 5; k++)
        if (namesVector(k)) aliases_.insert(words[0]);
    } else if (text(at_) == "typedef" && namesVector(0)) {
      aliases_.insert(words.back());
    }
  }

  enum TemplateKind { kNone, kTemplate, kInstantiation };
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::string out_, error_;
  KernelTable table_;

  int depth_ = 0, namespaceDepth_ = 0, functionDepth_ = -1, parens_ = 0;
  bool inKernel_ = false;
  std::string function_;                // whose body is being read
  std::string initialised_;             // the variable at namespace scope whose initialiser is being read
  std::vector<std::string> statement_;  // identifiers of the current statement at namespace scope
  std::string candidate_;               // the function that a following { would start
  TemplateKind templateKind_ = kNone;
  std::string hostName_, maxThreads_;  // attributes of the declaration being read
  std::set<std::string> aliases_;      // names of vector types
  std::map<std::string, KernelDeclaration> templates_;
};

}  // namespace

Rewritten rewrite(const std::string& preprocessed) {
  return Rewriter(preprocessed).run();
}

}  // namespace softmetal
