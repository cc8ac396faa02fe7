#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include "harness.h"
#include "metal/overrides.h"
#include "softmetal/control.h"

// Every Metal kernel, variant and dtype against float64. Arguments name the topics to run; none means all.
int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  // Reads of what an earlier operation left in recycled memory are reads of memory nobody wrote.
  weightnorm::metal::overrides().exactSizes = true;
  weightnorm::metal::overrides().recycled = [](void* contents, uint64_t bytes) { softmetal_renew(contents, bytes); };
  const std::pair<const char*, void (*)()> topics[] = {{"norms", testing::testNorms},
                                                       {"edges", testing::testNormEdges},
                                                       {"gradients", testing::testGradients},
                                                       {"scales", testing::testScales},
                                                       {"convolutions", testing::testConvolutions},
                                                       {"products", testing::testProducts},
                                                       {"streams", testing::testStreams},
                                                       {"tails", testing::testTails}};
  for (const auto& [name, run] : topics) {
    bool wanted = count == 1;
    for (int i = 1; i < count; ++i) wanted = wanted || std::strcmp(arguments[i], name) == 0;
    if (!wanted) continue;
    try {
      run();
    } catch (const std::exception& error) {
      testing::check(false, std::string(name) + " stopped: " + error.what());
    }
  }
  return testing::report();
}
