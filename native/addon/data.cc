#include "addon/data.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace weightnorm::addon {

using core::DType;

namespace {

// float64 to a half type in one rounding: round to odd keeps the sticky information that a second rounding needs.
float roundToOdd(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || value != value || std::isinf(nearest)) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) bits -= 1;
  return std::bit_cast<float>(bits | 1u);
}

template <class T>
void store(const T* from, int64_t count, DType dtype, std::byte* to) {
  if (dtype == DType::kFloat32) {
    auto* out = reinterpret_cast<float*>(to);
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(from[i]);
    return;
  }
  auto* out = reinterpret_cast<uint16_t*>(to);
  for (int64_t i = 0; i < count; ++i) {
    const float value = sizeof(T) == 4 && std::is_same_v<T, float> ? static_cast<float>(from[i]) : roundToOdd(static_cast<double>(from[i]));
    out[i] = dtype == DType::kFloat16 ? core::floatToHalf(value) : core::floatToBFloat(value);
  }
}

// ln x for x in (0, 1): x = m·2^e with m near 1, then the series of 2·atanh((m − 1)/(m + 1)).
double portableLog(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2;
    exponent -= 1;
  }
  const double r = (m - 1) / (m + 1), r2 = r * r;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * r2 + 1.0 / k;
  return 2 * r * sum + exponent * 0.69314718055994530942;
}

struct SplitMix64 {
  uint64_t state;
  double uniform() {  // in (-1, 1)
    uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0;
  }
};

}  // namespace

void convert(Napi::Value data, int64_t count, DType dtype, bool bits, std::byte* to) {
  if (!data.IsTypedArray()) throw core::Error(core::Code::kArgument, "data must be a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* source = nullptr;
  napi_get_typedarray_info(data.Env(), data, &type, &length, &source, nullptr, nullptr);
  if (length != static_cast<size_t>(count)) {
    throw core::Error(core::Code::kShape,
                      core::format("data has %zu elements; the shape holds %lld", length, static_cast<long long>(count)));
  }
  if (bits || (type == napi_float32_array && dtype == DType::kFloat32)) {
    if (bits && type != napi_uint16_array) throw core::Error(core::Code::kDType, "bits of a half type must be a Uint16Array");
    std::memcpy(to, source, length * core::sizeOf(dtype));
    return;
  }
  switch (type) {
    case napi_float32_array:
      store(static_cast<const float*>(source), count, dtype, to);
      break;
    case napi_float64_array:
      store(static_cast<const double*>(source), count, dtype, to);
      break;
    case napi_int8_array:
      store(static_cast<const int8_t*>(source), count, dtype, to);
      break;
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      store(static_cast<const uint8_t*>(source), count, dtype, to);
      break;
    case napi_int16_array:
      store(static_cast<const int16_t*>(source), count, dtype, to);
      break;
    case napi_uint16_array:
      store(static_cast<const uint16_t*>(source), count, dtype, to);
      break;
    case napi_int32_array:
      store(static_cast<const int32_t*>(source), count, dtype, to);
      break;
    case napi_uint32_array:
      store(static_cast<const uint32_t*>(source), count, dtype, to);
      break;
    default:
      throw core::Error(core::Code::kDType, "data is a BigInt array; it must hold numbers");
  }
}

void randn(int64_t count, DType dtype, uint64_t seed, double std, std::byte* to) {
  SplitMix64 random{seed};
  double pair[2];
  for (int64_t i = 0; i < count; ++i) {
    if (i % 2 == 0) {
      double u, v, s;
      do {
        u = random.uniform();
        v = random.uniform();
        s = u * u + v * v;
      } while (s >= 1 || s == 0);
      const double factor = std::sqrt(-2 * portableLog(s) / s) * std;
      pair[0] = u * factor;
      pair[1] = v * factor;
    }
    store(&pair[i % 2], 1, dtype, to + static_cast<size_t>(i) * core::sizeOf(dtype));
  }
}

}  // namespace weightnorm::addon
