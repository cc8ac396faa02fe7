#include "lexer.h"

#include <cctype>
#include <cstring>

namespace softmetal {
namespace {

bool isWord(char c) {
  return isalnum(static_cast<unsigned char>(c)) || c == '_';
}

size_t endOfNumber(const std::string& s, size_t i) {
  while (i < s.size() && (isWord(s[i]) || s[i] == '.' || s[i] == '\'' || (strchr("+-", s[i]) && strchr("eEpP", s[i - 1])))) i++;
  return i;
}

size_t endOfLiteral(const std::string& s, size_t i) {
  const char quote = s[i++];
  while (i < s.size() && s[i] != quote) i += s[i] == '\\' ? 2 : 1;
  return i + 1;
}

size_t endOfSpace(const std::string& s, size_t i) {
  while (i < s.size() && isspace(static_cast<unsigned char>(s[i])))
    if (s[i++] == '\n') break;
  return i;
}

}  // namespace

bool isIdentifier(const std::string& token) {
  return isalpha(static_cast<unsigned char>(token[0])) || token[0] == '_';
}

std::vector<Token> tokenize(const std::string& s) {
  static const char* const kDigraphs[] = {"[[", "]]", "::", "->", "&&", "||", "==", "!=", "<=", ">="};
  std::vector<Token> tokens;
  bool atLineStart = true;
  for (size_t i = 0, end; i < s.size(); i = end) {
    const auto c = static_cast<unsigned char>(s[i]);
    bool isSpace = false;
    if (atLineStart && c == '#') {
      end = s.find('\n', i);
      if (end == std::string::npos) end = s.size();
      isSpace = true;
    } else if (isspace(c)) {
      end = endOfSpace(s, i);
      isSpace = true;
      if (s[end - 1] == '\n') {
        tokens.push_back({s.substr(i, end - i), true});
        atLineStart = true;
        continue;
      }
    } else if (isalpha(c) || c == '_') {
      end = i;
      while (end < s.size() && isWord(s[end])) end++;
    } else if (isdigit(c) || (c == '.' && i + 1 < s.size() && isdigit(static_cast<unsigned char>(s[i + 1])))) {
      end = endOfNumber(s, i + 1);
    } else if (c == '"' || c == '\'') {
      end = endOfLiteral(s, i);
    } else {
      end = i + 1;
      for (const char* digraph : kDigraphs)
        if (!s.compare(i, 2, digraph)) end = i + 2;
    }
    if (!isSpace) atLineStart = false;
    tokens.push_back({s.substr(i, end - i), isSpace});
  }
  return tokens;
}

}  // namespace softmetal
