// Every operation on the CPU backend, shapes and options from the fuzzer: what validation accepts is computed without
// touching memory that is not its own, every output element is written, and convolutions agree with float64.
#include "../operations.h"

#include <cmath>
#include <cstring>

#include "../../../native/test/conv_reference.h"
#include "../exact.h"
#include "cpu/cpu_backend.h"
#include "cpu/cpu_device.h"

namespace {

using namespace fuzz;

void fill(const Tensor& t, Input& input) {
  if (t.bytes() > kLargest) return;
  const std::vector<std::byte> bytes = numbers(t, input);
  std::memcpy(cpu::dataOf<std::byte>(t), bytes.data(), bytes.size());
}

// No kernel makes a NaN of all ones: what still holds it was never written.
bool written(const Tensor& t) {
  for (int64_t i = 0; i < t.size(); ++i) {
    if (t.dtype == DType::kFloat32) {
      uint32_t bits;
      std::memcpy(&bits, cpu::dataOf<float>(t) + i, 4);
      if (bits == 0xffffffffu) return false;
    } else if (cpu::dataOf<uint16_t>(t)[i] == 0xffff) {
      return false;
    }
  }
  return true;
}

void againstFloat64(const core::ConvOp& op) {
  const std::vector<double> want = testing::reference(op);
  for (const double w : want) {
    if (!std::isfinite(w)) return;
  }
  // Activations with poles or kinks behind sums that round: the same sums without them are compared by other inputs.
  if (op.post.kind == core::Act::kPow || op.post.kind == core::Act::kExp) return;
  const int64_t terms = op.weight.size() / op.weight.shape[0];
  const double error = testing::relativeError(op.y, want),
               norm = std::sqrt(std::inner_product(want.begin(), want.end(), want.begin(), 0.0));
  // Where everything cancels, the sums' own size counts rather than the result's.
  const double floor = 1e-5 * static_cast<double>(terms) * std::sqrt(static_cast<double>(op.y.size()));
  require(error <= 4 * testing::layerTolerance(terms, op.x.dtype) || error * norm <= floor || (norm == 0 && error <= floor),
          "a convolution agrees with float64: " + std::to_string(error));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static cpu::Pool pool(2, 0);
  static const Place place{std::make_shared<Exact>(), std::make_shared<Exact>(), fill};
  using cpu::simd::Isa;
  Input input(data, size);
  const Isa sets[] = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512};
  cpu::simd::use(Isa::kBaseline);
  cpu::simd::use(sets[input.within(0, 2)]);
  OperationMaker(input, place, true).make([](const auto& op, const OperationMaker::Tensors&, const OperationMaker::Tensors& outputs) {
    for (const Tensor& y : outputs) {
      if (y.bytes() > kLargest) return;
    }
    cpu::CpuBackend(pool).run(op);
    for (const Tensor& y : outputs) require(written(y), "every output element is written");
    if constexpr (std::is_same_v<std::decay_t<decltype(op)>, core::ConvOp>) againstFloat64(op);
  });
  return 0;
}
