#include "elf_symbols.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

namespace softmetal {

bool readElf(const std::string& path, const char* section, ElfFile& file) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream content;
  content << stream.rdbuf();
  const std::string bytes = content.str();
  if (bytes.size() < sizeof(Elf64_Ehdr) || memcmp(bytes.data(), ELFMAG, SELFMAG)) return false;
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(bytes.data() + header->e_phoff);
  for (int i = 0; i < header->e_phnum; i++)
    if (segments[i].p_type == PT_LOAD) file.imageSize = std::max(file.imageSize, segments[i].p_vaddr + segments[i].p_memsz);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes.data() + header->e_shoff);
  const char* names = bytes.data() + sections[header->e_shstrndx].sh_offset;
  for (int i = 0; i < header->e_shnum; i++) {
    if (!strcmp(names + sections[i].sh_name, section)) {
      file.sectionOffset = sections[i].sh_addr;
      file.sectionSize = sections[i].sh_size;
    }
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(bytes.data() + sections[i].sh_offset);
    const char* strings = bytes.data() + sections[sections[i].sh_link].sh_offset;
    for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); k++) {
      const int type = ELF64_ST_TYPE(symbols[k].st_info);
      if (type == STT_FUNC || type == STT_OBJECT)
        file.symbols.push_back({strings + symbols[k].st_name, symbols[k].st_value, symbols[k].st_size, type == STT_FUNC});
    }
  }
  return true;
}

}  // namespace softmetal
