#include <cstring>

#include "check.h"

// Native operations of the CPU backend against float64 references; `native_ops threads`, only the pool and the device, where
// threads meet. Exit code 0 when every statement holds.
int main(int argc, char** argv) {
  using namespace testing;
  testPool();
  testDevice();
  if (argc > 1 && std::strcmp(argv[1], "threads") == 0) return report("native-threads");
  onEveryIsa([](cpu::simd::Isa isa) {
    const int before = passed;
    testWeightNorm();
    testWeightNormEdges();
    testNormSums();
    testRowScales();
    testElementwise();
    std::printf("%s: %d passed\n", cpu::simd::name(isa), passed - before);
  });
  testMoves();
  return report("native-ops");
}
