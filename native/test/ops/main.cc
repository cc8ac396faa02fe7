#include "check.h"

// Native operations of the CPU backend against float64 references. Exit code 0 when every statement holds.
int main() {
  using namespace testing;
  testPool();
  testDevice();
  onEveryIsa([](cpu::simd::Isa isa) {
    const int before = passed;
    testWeightNorm();
    testWeightNormEdges();
    testElementwise();
    std::printf("%s: %d passed\n", cpu::simd::name(isa), passed - before);
  });
  testMoves();
  return report("native-ops");
}
