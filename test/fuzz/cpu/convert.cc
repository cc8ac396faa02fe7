// Conversions between dtypes on every instruction set against core/dtype.h, bit for bit but for a NaN's payload, at any
// length and content.
#include <cmath>
#include <cstring>

#include "../input.h"
#include "cpu/simd/vec_table.h"

namespace {

using namespace fuzz;

float widened(const uint8_t* from, DType dtype, size_t i) {
  float value;
  uint16_t bits;
  if (dtype == DType::kFloat32) {
    std::memcpy(&value, from + 4 * i, 4);
    return value;
  }
  std::memcpy(&bits, from + 2 * i, 2);
  return dtype == DType::kFloat16 ? core::halfToFloat(bits) : core::bfloatToFloat(bits);
}

// A signalling NaN may become quiet.
bool same(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b, DType dtype) {
  const size_t size = core::sizeOf(dtype);
  for (size_t i = 0; i < a.size() / size; ++i) {
    if (std::memcmp(&a[i * size], &b[i * size], size) == 0) continue;
    if (!std::isnan(widened(a.data(), dtype, i)) || !std::isnan(widened(b.data(), dtype, i))) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const DType from = input.dtype(), to = input.dtype();
  const std::vector<uint8_t> bytes = input.raw().ConsumeRemainingBytes<uint8_t>();
  const size_t count = bytes.size() / core::sizeOf(from);
  if (count == 0) return 0;
  // Of exact size, so that the sanitizer sees every byte beyond.
  std::vector<uint8_t> x(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count * core::sizeOf(from)));
  std::vector<uint8_t> want(count * core::sizeOf(to));
  if (from == to) want = x;
  for (size_t i = 0; i < count && from != to; ++i) {
    const float value = widened(x.data(), from, i);
    const uint16_t bits = to == DType::kFloat16 ? core::floatToHalf(value) : core::floatToBFloat(value);
    if (to == DType::kFloat32) {
      std::memcpy(&want[4 * i], &value, 4);
    } else {
      std::memcpy(&want[2 * i], &bits, 2);
    }
  }
  using cpu::simd::Isa;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!cpu::simd::supported(isa)) continue;
    std::vector<uint8_t> y(want.size(), 0xa5);
    cpu::get_vecTable(isa).convert(x.data(), from, y.data(), to, static_cast<int64_t>(count));
    require(same(y, want, to),
            std::string("conversion from ") + core::name(from) + " to " + core::name(to) + " on " + cpu::simd::name(isa));
  }
  return 0;
}
