// The symbol table of a shared library on disk.
#pragma once
#include <string>
#include <vector>

namespace softmetal {

struct ElfSymbol {
  std::string name;
  unsigned long offset, size;  // from the load address
  bool isFunction;
};
struct ElfFile {
  std::vector<ElfSymbol> symbols;
  unsigned long sectionOffset = 0, sectionSize = 0;  // of the section asked for
  unsigned long imageSize = 0;                       // highest address of a loaded segment
};
bool readElf(const std::string& path, const char* section, ElfFile& file);

}  // namespace softmetal
