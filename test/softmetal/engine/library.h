// A loaded kernel library, specialised with function constants: its kernels and their threadgroup variables.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../msl/abi.h"
#include "shadow.h"

namespace softmetal {

using ConstantValues = std::map<int, std::string>;  // raw bytes by index

struct ThreadgroupVariable {
  std::string name;
  size_t offset, size;  // in the library's threadgroup section
};

class Library {
 public:
  // Maps a private copy of the file, so that each specialisation has constants of its own. Null and an error on failure.
  static std::shared_ptr<Library> load(const std::string& path, const ConstantValues& constants, std::string& error);
  ~Library();

  const std::string& path() const { return path_; }
  const std::map<std::string, const SmKernel*>& kernels() const { return kernels_; }
  const SmConstant* constants() const { return constants_; }  // ended by a null name
  const std::vector<std::unique_ptr<Region>>& threadgroupVariables(const SmKernel* kernel) const;
  size_t threadgroupMemory(const SmKernel* kernel) const;  // static bytes

  // The threadgroup variable around an address, or null.
  Region* threadgroupRegion(const void* address) const;
  bool contains(const void* address) const;
  unsigned long offsetOf(const void* instruction) const;

 private:
  bool readImage(std::string& error);
  bool assignVariables(std::string& error);

  std::string path_;
  void* handle_ = nullptr;
  int file_ = -1;  // open as long as the library is: the loader knows it by the descriptor's number
  char *imageBegin_ = nullptr, *imageEnd_ = nullptr;
  char *sectionBegin_ = nullptr, *sectionEnd_ = nullptr;
  std::map<std::string, const SmKernel*> kernels_;
  const SmConstant* constants_ = nullptr;
  std::map<const SmKernel*, std::vector<std::unique_ptr<Region>>> variables_;
  std::vector<Region*> regionOfWord_;
};

}  // namespace softmetal
