#include "check.h"

namespace testing {

const std::vector<cpu::Pool*>& pools() {
  static cpu::Pool one(1), two(2), seven(7);
  static const std::vector<cpu::Pool*> pools{&one, &two, &seven};
  return pools;
}

Tensor make(const Shape& shape, DType dtype, const std::vector<float>& values) {
  Tensor tensor = empty(shape, dtype);
  for (size_t i = 0; i < values.size(); ++i) writeElement(tensor, static_cast<int64_t>(i), values[i]);
  return tensor;
}

std::vector<float> floats(const Tensor& tensor) {
  const std::vector<double> wide = values(tensor);
  return std::vector<float>(wide.begin(), wide.end());
}

std::vector<uint32_t> bits(const Tensor& tensor) {
  std::vector<uint32_t> out(static_cast<size_t>(tensor.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = tensor.dtype == DType::kFloat32 ? cpu::dataOf<uint32_t>(tensor)[i] : cpu::dataOf<uint16_t>(tensor)[i];
  }
  return out;
}

std::vector<float> normals(Random& random, int64_t count, float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = normal(random);
  return out;
}

int64_t between(Random& random, int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random);
}

Shape randomShape(Random& random, int64_t largest) {
  const int rank = static_cast<int>(between(random, 1, 5));
  int64_t dims[core::kMaxRank];
  int64_t size = 1;
  for (int i = 0; i < rank; ++i) {
    const int64_t most = std::max<int64_t>(1, largest / size);
    const int64_t kind = between(random, 0, 5);
    dims[i] = std::min(most, kind == 0 ? 1 : kind <= 3 ? between(random, 2, 9) : between(random, 10, 200));
    size *= dims[i];
  }
  return Shape(dims, rank);
}

double ulp(double x, DType dtype) {
  const int digits = dtype == DType::kFloat32 ? 24 : dtype == DType::kFloat16 ? 11 : 8;
  const int least = dtype == DType::kFloat16 ? -14 : -126;
  const int exponent = x == 0 || !std::isfinite(x) ? least : std::max(least, std::ilogb(x));
  return std::ldexp(1.0, exponent - digits + 1);
}

double ulpsApart(float got, double want, DType dtype) {
  const double largest = dtype == DType::kFloat16 ? 65520 : 0x1.ffffffp127;
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : INFINITY;
  if (std::abs(want) >= largest) return std::isinf(got) && (got > 0) == (want > 0) ? 0 : INFINITY;
  return std::abs(static_cast<double>(got) - want) / ulp(want, dtype);
}

std::vector<int64_t> keptIndices(const Shape& shape, uint32_t reduce) {
  std::vector<int64_t> out(static_cast<size_t>(shape.size()));
  const auto strides = shape.strides(), keptStrides = shape.reduced(reduce).strides();
  for (int64_t i = 0; i < shape.size(); ++i) {
    int64_t kept = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const size_t a = static_cast<size_t>(axis);
      if (!(reduce >> axis & 1)) kept += i / strides[a] % shape[axis] * keptStrides[a];
    }
    out[static_cast<size_t>(i)] = kept;
  }
  return out;
}

std::string describe(const Shape& shape, uint32_t reduce, DType dtype) {
  return shape.str() + " reduce " + std::to_string(reduce) + " " + core::name(dtype);
}

}  // namespace testing
