#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../host_values.h"
#include "../worse.h"
#include "core/backend.h"
#include "core/prepare.h"

// What the tests of the Metal kernels share: the system's Metal device (here the software Metal), tensors from and to
// vectors, exact distances, a count of what passed. One thread.
namespace testing {

using namespace weightnorm;
using core::DType;
using core::Shape;
using core::Tensor;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

void check(bool ok, const std::string& what);
int report();

std::shared_ptr<core::Device> device();
core::Backend& backend();

// Values rounded to dtype.
Tensor make(const Shape& shape, DType dtype, const std::vector<float>& values);
Tensor make(const Shape& shape, DType dtype, const std::function<float()>& value);
// Waits for the tensor; throws what it failed with.
std::vector<double> read(const Tensor& tensor);
// The stored bits as they are.
std::vector<uint8_t> readBytes(const Tensor& tensor);

// The distance of neighbouring values of dtype around x, never less than around its smallest normal number.
double ulp(double x, DType dtype);
// Units in the last place between the stored `got` and `want`; 0 where both are NaN, infinite where one is. Where subnormals are
// flushed, a 0 for a subnormal counts as right.
double ulpsApart(double got, double want, DType dtype);
bool flushesSubnormals();
// Whether kernels are compiled with fast math, which the backend turns off: sums may be reordered, values assumed finite.
bool fastMath();
// ‖a − b‖ / ‖b‖.
double relativeError(const std::vector<double>& a, const std::vector<double>& b);

using Random = std::mt19937_64;
std::function<float()> normal(Random& random, double deviation = 1, double mean = 0);

// Kept index (row-major) of each element under a mask of reduced axes.
std::vector<int64_t> keptIndices(const Shape& shape, uint32_t reduce);

// The topics.
void testNorms();
void testNormEdges();
void testGradients();
void testScales();
void testConvolutions();
void testProducts();
void testStreams();
void testTails();

}  // namespace testing
