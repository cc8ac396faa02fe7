// Splits preprocessed source into tokens that, joined, give the source back.
#pragma once
#include <string>
#include <vector>

namespace softmetal {

struct Token {
  std::string text;
  bool isSpace;  // white space or a line marker
};
std::vector<Token> tokenize(const std::string& source);
bool isIdentifier(const std::string& token);

}  // namespace softmetal
