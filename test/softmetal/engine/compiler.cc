#include "compiler.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "../msl/abi.h"
#include "faults.h"
#include "rewriter.h"
#include "rewriter_hash.h"

namespace softmetal {
namespace {

namespace fs = std::filesystem;

std::string readFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}
void writeFile(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string quoted(const std::string& argument) {
  std::string result = "'";
  for (char c : argument) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

struct ProcessResult {
  int status;
  std::string output;
};
ProcessResult runCommand(const std::string& command) {
  // A sanitizer's runtime that this process needs is none of the compiler's business.
  FILE* pipe = popen(("unset LD_PRELOAD; " + command + " 2>&1").c_str(), "r");
  if (!pipe) return {-1, "cannot start: " + command};
  std::string output;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe));) output.append(buffer, n);
  return {pclose(pipe), output};
}

fs::path ownLibrary() {
  Dl_info info;
  dladdr(reinterpret_cast<void*>(&softmetal_kernel_access), &info);
  return fs::absolute(info.dli_fname);
}
// The headers of the shading language lie beside the built library.
fs::path headers() {
  const char* home = getenv("SOFTMETAL_HEADERS");
  return home ? fs::path(home) : ownLibrary().parent_path() / "msl";
}
// For mutation tests: a folder of pairs name.from, name.to; a source equal to the first is compiled as the second.
const std::string& replacementOf(const std::string& source) {
  static const std::map<std::string, std::string> pairs = [] {
    std::map<std::string, std::string> found;
    if (const char* folder = getenv("SOFTMETAL_REPLACE"))
      for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".from") found[readFile(entry.path())] = readFile(fs::path(entry.path()).replace_extension("to"));
    return found;
  }();
  const auto found = pairs.find(source);
  return found == pairs.end() ? source : found->second;
}
std::string compilerName() {
  const char* name = getenv("SOFTMETAL_CLANG");
  return name ? name : "clang++-19";
}

fs::path cacheDirectory() {
  const char* cache = getenv("XDG_CACHE_HOME");
  fs::path directory =
      cache && *cache ? fs::path(cache) / "softmetal" : fs::temp_directory_path() / ("softmetal-" + std::to_string(getuid()));
  fs::create_directories(directory);
  return directory;
}

// FNV-1a, 64 bits, twice with different starts: enough to name cache entries.
std::string contentHash(const std::string& content) {
  char name[33];
  uint64_t hashes[2] = {0xcbf29ce484222325, 0x84222325cbf29ce4};
  for (uint64_t& hash : hashes)
    for (unsigned char c : content) hash = (hash ^ c) * 0x100000001b3;
  snprintf(name, sizeof name, "%016lx%016lx", hashes[0], hashes[1]);
  return name;
}

const std::string& headerText() {
  static const std::string text = [] {
    std::set<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(headers()))
      if (entry.is_regular_file()) files.insert(entry.path());
    std::string all;
    for (const auto& file : files) all += readFile(file);
    return all;
  }();
  return text;
}

std::string codeFlags(const CompileOptions& options) {
  std::string flags = options.fastMath ? "-O2 -ffast-math" : "-O1 -ffp-contract=off";
  if (wantsCoverage()) flags += " -fcoverage-mapping -fprofile-update=atomic";
  flags +=
      " -std=c++14 -fsanitize=thread -mllvm -tsan-instrument-func-entry-exit=0 -mllvm -tsan-instrument-read-before-write=1"
      " -mllvm -tsan-instrument-atomics=0 -g1 -fPIC -fno-exceptions -fno-rtti -nostdinc -fvisibility=hidden"
      " -ftrivial-auto-var-init=pattern -fno-optimize-sibling-calls -fno-vectorize -fno-slp-vectorize -fno-strict-aliasing"
      " -Xclang -ffloat16-excess-precision=none -Xclang -fbfloat16-excess-precision=none"
      " -fsanitize=array-bounds -fno-sanitize-recover=array-bounds"
      " -Wno-everything -Werror=return-type -Werror=uninitialized";
  flags += __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? " -mavx2 -mfma -mf16c" : " -msse4.1";
  return flags;
}

std::string preprocessFlags(const CompileOptions& options) {
  return "-x c++ -std=c++14 -nostdinc -undef -D__METAL__=1 -D__METAL_MACOS__=1 -D__APPLE__=1 -D__METAL_VERSION__=" +
         std::to_string(options.languageVersion * 10) + options.macros;
}

// One build in a directory of its own; the finished library is renamed into the cache.
class Build {
 public:
  Build(const fs::path& cache, const std::string& key) : cache_(cache) {
    static std::atomic<int> counter;
    work_ = cache / (key + "." + std::to_string(getpid()) + "." + std::to_string(counter++));
    fs::create_directories(work_);
  }
  ~Build() {
    std::error_code ignored;
    fs::remove_all(work_, ignored);
  }
  std::string run(const std::string& source, const CompileOptions& options, const fs::path& target) {
    const fs::path metal = work_ / "program_source", preprocessed = work_ / "k.ii", rewritten = work_ / "k.cc", library = work_ / "k.so";
    writeFile(metal, source);
    const std::string inWork = "cd " + quoted(work_.string()) + " && " + compilerName() + " ";
    ProcessResult result =
        runCommand(inWork + "-E " + preprocessFlags(options) + " -I" + quoted((headers() / "stubs").string()) + " program_source -o k.ii");
    if (result.status) return result.output;
    const Rewritten text = rewrite(readFile(preprocessed));
    if (!text.error.empty()) return text.error + "\n";
    writeFile(rewritten, "#include \"entry.h\"\n" + text.text);
    // The counts of every library go to a file of its name in the current folder of whoever runs it.
    const std::string profile = wantsCoverage() ? " -fprofile-instr-generate=" + quoted(target.stem().string() + "-%m.profraw") : "";
    result = runCommand(inWork + codeFlags(options) + profile + " -I" + quoted(headers().string()) + " -c k.cc -o k.o");
    if (result.status) return result.output;
    result = runCommand(inWork + "-shared -fuse-ld=lld -nostdlib k.o -Wl,--no-as-needed " + quoted(ownLibrary().string()) + profile +
                        " -Wl,--as-needed -lm -lc $(" + compilerName() + " --rtlib=compiler-rt -print-libgcc-file-name) -o k.so");
    if (result.status) return result.output;
    if (wantsCoverage()) {
      fs::rename(metal, fs::path(target).replace_extension("metal"));
      fs::rename(rewritten, fs::path(target).replace_extension("cc"));
    }
    fs::rename(library, target);
    return "";
  }

 private:
  fs::path cache_, work_;
};

}  // namespace

bool wantsCoverage() {
  const char* wanted = getenv("SOFTMETAL_COVERAGE");
  return wanted && strcmp(wanted, "0") != 0;
}

Compiled compile(const std::string& requestedSource, const CompileOptions& requested) {
  const std::string& source = replacementOf(requestedSource);
  const auto start = std::chrono::steady_clock::now();
  CompileOptions options = requested;
  options.fastMath |= setting(Setting::kFastMath) != 0;
  // What is compiled, not where: every build of this double shares the cache.
  const std::string key = contentHash(kRewriterHash + codeFlags(options) + preprocessFlags(options) + headerText() + source);
  const fs::path cache = cacheDirectory(), target = cache / (key + ".so");
  Compiled compiled{target.string(), "", 0, fs::exists(target)};
  if (!compiled.cached) compiled.log = Build(cache, key).run(source, options, target);
  compiled.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return compiled;
}

std::string locate(const std::string& libraryPath, unsigned long offset) {
  char address[32];
  snprintf(address, sizeof address, " 0x%lx", offset);
  const ProcessResult result = runCommand("llvm-symbolizer-19 --inlining=false --functions=none --obj=" + quoted(libraryPath) + address);
  std::string line = result.output.substr(0, result.output.find('\n'));
  if (result.status || line.empty() || line[0] == '?') return "?";
  line = line.substr(0, line.rfind(':'));
  return line.substr(line.rfind('/') + 1);
}

}  // namespace softmetal
