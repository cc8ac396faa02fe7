#include <cstdio>
#include <cstring>
#include <string>

#include "harness.h"
#include "metal/overrides.h"
#include "softmetal/control.h"

namespace {

// Pipelines that allow 64 threads a threadgroup, as a GPU short of registers would.
void smallThreadgroups() {
  metaltest::Fault limit("max_threads", 64);
  metaltest::elementwise();
  metaltest::layout();
  metaltest::reductions();
}

}  // namespace

// native-metal [part…]: the Metal backend's own tests under the software Metal; all parts by default.
int main(int argc, char** argv) {
  const std::pair<const char*, void (*)()> parts[] = {{"elementwise", metaltest::elementwise},
                                                      {"layout", metaltest::layout},
                                                      {"reductions", metaltest::reductions},
                                                      {"small-threadgroups", smallThreadgroups},
                                                      {"faults", metaltest::faults},
                                                      {"lifetime", metaltest::lifetime},
                                                      {"limits", metaltest::limits}};
  weightnorm::metal::overrides().recycled = [](void* contents, uint64_t bytes) { softmetal_renew(contents, bytes); };
  for (const auto& [name, run] : parts) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], name) == 0;
    if (!wanted) continue;
    // What computes is held to the last byte; what is about memory itself needs the size classes.
    const std::string part = name;
    weightnorm::metal::overrides().exactSizes = part != "faults" && part != "lifetime" && part != "limits";
    try {
      run();
    } catch (const std::exception& error) {
      metaltest::check(false, std::string(name) + ": " + error.what());
    }
    softmetal_reset();
    char messages[4096] = "";
    softmetal_take_violations(messages, sizeof messages);
    metaltest::check(messages[0] == '\0', std::string(name) + " broke a rule: " + messages);
    const int64_t alive = metaltest::objectsLeft();
    if (alive != 0) softmetal_live_objects_by_class(messages, sizeof messages);
    metaltest::check(alive == 0, std::string(name) + " left objects alive: " + messages);
  }
  return metaltest::report();
}
