#include "library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

#include "compiler.h"
#include "elf_symbols.h"
#include "executor.h"

namespace softmetal {
namespace {

// Static initialisers of a library read the function constants while it is being loaded; loads take turns.
std::mutex loadMutex;
const ConstantValues* loadingWith = nullptr;

// An anonymous copy: the loader treats it as another library.
int copyOf(const std::string& path) {
  const int source = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (source < 0) return -1;
  struct stat information;
  fstat(source, &information);
  const int copy = memfd_create("softmetal-kernels", MFD_CLOEXEC);
  off_t offset = 0;
  while (copy >= 0 && offset < information.st_size)
    if (sendfile(copy, source, &offset, information.st_size - offset) <= 0) break;
  close(source);
  return copy;
}

}  // namespace

extern "C" bool softmetal_kernel_constant(int index, void* value, unsigned size) {
  if (!loadingWith) return false;
  const auto found = loadingWith->find(index);
  if (found == loadingWith->end()) return false;
  memcpy(value, found->second.data(), std::min<size_t>(size, found->second.size()));
  return true;
}

std::shared_ptr<Library> Library::load(const std::string& path, const ConstantValues& constants, std::string& error) {
  std::lock_guard lock(loadMutex);
  auto library = std::make_shared<Library>();
  library->path_ = path;
  const int copy = library->file_ = copyOf(path);
  if (copy < 0) {
    error = "cannot read " + path;
    return nullptr;
  }
  // The library's initialisers are checked code too: no kernel of another queue may be running meanwhile.
  const auto idle = bulkLock();
  loadingWith = &constants;
  library->handle_ = dlopen(("/proc/self/fd/" + std::to_string(copy)).c_str(), RTLD_NOW | RTLD_LOCAL);
  loadingWith = nullptr;
  if (!library->handle_) {
    error = dlerror();
    return nullptr;
  }
  return library->readImage(error) ? library : nullptr;
}

Library::~Library() {
  if (wantsCoverage()) return;  // it writes its counts when the process ends; its file keeps its name taken
  if (handle_) dlclose(handle_);
  if (file_ >= 0) close(file_);
}

bool Library::readImage(std::string& error) {
  for (int i = 0;; i++) {
    const auto* kernel = static_cast<const SmKernel*>(dlsym(handle_, ("sm_kernel_" + std::to_string(i)).c_str()));
    if (!kernel) break;
    if (!kernels_.emplace(kernel->name, kernel).second) {
      error = std::string("two kernels are named ") + kernel->name;
      return false;
    }
  }
  constants_ = static_cast<const SmConstant*>(dlsym(handle_, "sm_constants"));
  struct link_map* map;
  dlinfo(handle_, RTLD_DI_LINKMAP, &map);
  imageBegin_ = reinterpret_cast<char*>(map->l_addr);
  return assignVariables(error);
}

// A static local of function _Z<encoding> is called _ZZ<encoding>E<name>.
bool Library::assignVariables(std::string& error) {
  ElfFile file;
  if (!readElf(path_, "sm_threadgroup", file)) {
    error = "cannot read the symbols of " + path_;
    return false;
  }
  imageEnd_ = imageBegin_ + file.imageSize;
  sectionBegin_ = imageBegin_ + file.sectionOffset;
  sectionEnd_ = sectionBegin_ + file.sectionSize;
  regionOfWord_.resize((file.sectionSize + 3) / 4);
  for (const auto& [name, kernel] : kernels_) {
    auto& variables = variables_[kernel];
    std::string prefix;
    const unsigned long function = reinterpret_cast<char*>(kernel->function) - imageBegin_;
    for (const ElfSymbol& symbol : file.symbols)
      if (symbol.isFunction && symbol.offset == function && symbol.name.rfind("_Z", 0) == 0) prefix = "_ZZ" + symbol.name.substr(2) + "E";
    for (const ElfSymbol& symbol : file.symbols) {
      if (symbol.isFunction || !file.sectionSize || prefix.empty()) continue;
      if (symbol.offset < file.sectionOffset || symbol.offset >= file.sectionOffset + file.sectionSize) continue;
      if (symbol.name.rfind(prefix, 0) != 0) continue;
      auto region = Arena::instance().adopt(imageBegin_ + symbol.offset, symbol.size);
      region->label = symbol.name.substr(prefix.size());
      region->label.erase(0, region->label.find_first_not_of("0123456789"));
      region->isThreadgroup = true;
      region->tracking = Tracking::kFull;
      for (size_t word = (symbol.offset - file.sectionOffset) / 4; word < (symbol.offset - file.sectionOffset + symbol.size + 3) / 4;
           word++)
        regionOfWord_[word] = region.get();
      variables.push_back(std::move(region));
    }
  }
  return true;
}

const std::vector<std::unique_ptr<Region>>& Library::threadgroupVariables(const SmKernel* kernel) const {
  return variables_.at(kernel);
}

size_t Library::threadgroupMemory(const SmKernel* kernel) const {
  size_t total = 0;
  for (const auto& region : variables_.at(kernel)) total += (region->length + 15) / 16 * 16;
  return total;
}

Region* Library::threadgroupRegion(const void* address) const {
  const auto* p = static_cast<const char*>(address);
  return p >= sectionBegin_ && p < sectionEnd_ ? regionOfWord_[(p - sectionBegin_) / 4] : nullptr;
}

bool Library::contains(const void* address) const {
  const auto* p = static_cast<const char*>(address);
  return p >= imageBegin_ && p < imageEnd_;
}

unsigned long Library::offsetOf(const void* instruction) const {
  return static_cast<const char*>(instruction) - imageBegin_;
}

}  // namespace softmetal
