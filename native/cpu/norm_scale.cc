#include "cpu/norm_scale.h"

#include <cmath>
#include <limits>

#include "cpu/cpu_device.h"

namespace weightnorm::cpu {

namespace {

float element(const core::Tensor& tensor, int64_t index) {
  if (tensor.dtype == core::DType::kFloat32) return dataOf<float>(tensor)[index];
  const uint16_t bits = dataOf<uint16_t>(tensor)[index];
  return tensor.dtype == core::DType::kFloat16 ? core::halfToFloat(bits) : core::bfloatToFloat(bits);
}

bool isNormal(float x) {
  return std::abs(x) >= std::numeric_limits<float>::min() && std::abs(x) <= std::numeric_limits<float>::max();
}

double wideScale(double square, float g, double eps) {
  if (eps < 0 && square == 0) return 0;
  double n = std::sqrt(square);
  if (n < eps) n = eps;
  const float roundedNorm = static_cast<float>(n);
  const float scale = g / roundedNorm;
  if (isNormal(roundedNorm) && (isNormal(scale) || g == 0)) return static_cast<double>(scale);
  return static_cast<double>(g) / n;
}

}  // namespace

void wideScales(double* squares, const core::Tensor& g, int64_t first, int64_t count, double eps) {
  for (int64_t i = 0; i < count; ++i) squares[i] = wideScale(squares[i], element(g, first + i), eps);
}

}  // namespace weightnorm::cpu
