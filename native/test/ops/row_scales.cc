// Norm scales that packing computes: the bits of those computed by themselves, whatever packs the weight.

#include "check.h"
#include "cpu/conv.h"
#include "cpu/linear.h"
#include "cpu/scale.h"

namespace testing {

namespace {

struct Layer {
  std::string name;
  Shape weight, x, y;
  int64_t groups = 1, stride = 1;
  bool transposed = false, product = false;
  DType dtype = DType::kFloat32;
};

// One row block and more, transforms and direct sums, fewer channels than a row block, parts of panels.
const std::vector<Layer>& layers() {
  static const std::vector<Layer> all{
      {"pointwise", {13, 20, 1}, {2, 20, 50}, {2, 13, 50}},
      {"direct", {40, 24, 2}, {1, 24, 33}, {1, 40, 32}},
      {"transformed, 3 taps", {21, 33, 3}, {1, 33, 402}, {1, 21, 400}},
      {"transformed, 7 taps", {32, 40, 7}, {1, 40, 406}, {1, 32, 400}},
      {"transformed, 9 taps", {19, 16, 9}, {1, 16, 408}, {1, 19, 400}},
      {"transformed, 10 taps", {16, 17, 10}, {1, 17, 409}, {1, 16, 400}},
      {"groups", {24, 6, 3}, {2, 24, 402}, {2, 24, 400}, 4},
      {"two dimensions", {18, 7, 3, 3}, {1, 7, 12, 14}, {1, 18, 10, 12}},
      {"half", {21, 33, 3}, {1, 33, 402}, {1, 21, 400}, 1, 1, false, false, DType::kFloat16},
      {"bfloat direct", {21, 33, 2}, {1, 33, 20}, {1, 21, 19}, 1, 1, false, false, DType::kBFloat16},
      {"transposed", {12, 9, 4}, {1, 12, 30}, {1, 9, 62}, 1, 2, true},
      {"product", {131, 70}, {9, 70}, {9, 131}, 1, 1, false, true},
      {"half product", {50, 129}, {11, 129}, {11, 50}, 1, 1, false, true, DType::kFloat16},
      {"product of few rows", {131, 70}, {3, 70}, {3, 131}, 1, 1, false, true},
  };
  return all;
}

Tensor forward(const Layer& layer, const Tensor& x, const Tensor& weight, const Tensor& scale, cpu::Pool& pool) {
  const Tensor y = empty(layer.y, layer.dtype);
  if (layer.product) {
    core::LinearOp op;
    op.x = x, op.weight = weight, op.scale = scale, op.y = y;
    cpu::linear(op, pool);
    return y;
  }
  core::ConvOp op;
  op.x = x, op.weight = weight, op.scale = scale, op.y = y;
  op.groups = layer.groups;
  op.transposed = layer.transposed;
  op.scalePerInput = layer.transposed && scale;
  op.stride[1] = layer.stride;
  cpu::conv(op, pool);
  return y;
}

Tensor scaleOf(const Tensor& v, const Tensor& g, cpu::Pool& pool) {
  core::ScaleOp op;
  const uint32_t reduce = (1u << v.shape.rank()) - 2;
  op.segments.push_back({v, g, empty({v.shape[0]}, DType::kFloat32), reduce, std::nullopt});
  cpu::scale(op, pool);
  return op.segments[0].scale;
}

void checkLayer(const Layer& layer, cpu::Pool& pool) {
  std::mt19937 random(5);
  const auto tensor = [&](const Shape& shape, unsigned seed) {
    random.seed(seed);
    return randomTensor(shape, layer.dtype, random);
  };
  const auto what = [&](const char* problem) { return "scales in " + layer.name + ": " + problem; };
  const Tensor x = tensor(layer.x, 1), g = tensor({layer.weight[0]}, 2);

  // Packed before: the scales are computed at once.
  const Tensor known = tensor(layer.weight, 3);
  forward(layer, x, known, {}, pool);
  const bool packs = known.storage->hasDerived();
  const Tensor scale = scaleOf(known, g, pool);
  check(!packs || !scale.storage->deferred(), what("deferred although the weight is packed"));
  const Tensor expected = forward(layer, x, known, scale, pool);

  const Tensor fresh = tensor(layer.weight, 3);
  const Tensor deferred = scaleOf(fresh, g, pool);
  check(deferred.storage->deferred(), what("not deferred"));
  const Tensor y = forward(layer, x, fresh, deferred, pool);
  check(!deferred.storage->deferred(), what("still deferred behind the layer"));
  check(bits(deferred) == bits(scale), what("other bits"));
  check(sameBits(y, expected), what("another output"));

  // Whose rows another layer's packing does not read.
  const Tensor apart = scaleOf(tensor(layer.weight, 3), g, pool);
  forward(layer, x, tensor(layer.weight, 4), apart, pool);
  check(bits(apart) == bits(scale), what("other bits beside another weight"));
}

}  // namespace

void testRowScales() {
  for (const Layer& layer : layers()) {
    for (cpu::Pool* pool : pools()) checkLayer(layer, *pool);
  }
  // Rows that are summed in parts are computed at once.
  cpu::Pool& pool = *pools()[0];
  const Tensor v = make({2, 200001}, DType::kFloat32, std::vector<float>(400002, 0.5f)), g = make({2, 1}, DType::kFloat32, {1, 2});
  check(!scaleOf(v, g, pool).storage->deferred(), "scales of long rows are deferred");
}

}  // namespace testing
