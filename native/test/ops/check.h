#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../testing.h"
#include "../worse.h"
#include "core/ops.h"
#include "cpu/pool.h"

// What the tests of single operations share: tensors from and to vectors, exact distances, the topics.
namespace testing {

using core::Shape;
using core::Tensor;

// Pools of 1, 2 and 7 threads.
const std::vector<cpu::Pool*>& pools();

// Values rounded to dtype.
Tensor make(const Shape& shape, DType dtype, const std::vector<float>& values);
std::vector<float> floats(const Tensor& tensor);
// The bits of the elements, for comparisons that must be exact.
std::vector<uint32_t> bits(const Tensor& tensor);

using Random = std::mt19937_64;
std::vector<float> normals(Random& random, int64_t count, float deviation = 1);
int64_t between(Random& random, int64_t least, int64_t most);
// Rank 1 to 5, at most `largest` elements, sizes likely to meet vector remainders.
Shape randomShape(Random& random, int64_t largest);

// The distance of neighbouring values of dtype around x.
double ulp(double x, DType dtype = DType::kFloat32);
// |got − want| in ulps of want; 0 where both are NaN or the same infinity; infinite where one is.
double ulpsApart(float got, double want, DType dtype = DType::kFloat32);

// Kept index (row-major) of each element under a mask of reduced axes.
std::vector<int64_t> keptIndices(const Shape& shape, uint32_t reduce);

std::string describe(const Shape& shape, uint32_t reduce, DType dtype);

// The topics.
void testPool();
void testDevice();
void testWeightNorm();
void testWeightNormEdges();
void testNormSums();
void testRowScales();
void testElementwise();
void testMoves();

}  // namespace testing
