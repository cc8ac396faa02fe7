// Validation of every operation with shapes, axes and options of any size, on devices that promise memory and have none:
// a description is refused with a core::Error or complete, whatever the numbers.
#include "../boundless.h"
#include "../operations.h"

using namespace fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Place place{std::make_shared<Boundless>(), std::make_shared<Boundless>(), [](const Tensor&, Input&) {}};
  Input input(data, size);
  OperationMaker(input, place, input.within(0, 3) == 0).make([](const auto&, const auto&, const auto&) {});
  require(place.device->budget().figures().live == 0, "an operation that is gone leaves nothing reserved");
  return 0;
}
