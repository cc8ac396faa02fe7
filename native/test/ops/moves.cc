#include <algorithm>
#include <cstring>

#include "check.h"
#include "cpu/cast.h"
#include "cpu/concat.h"
#include "cpu/fill.h"
#include "cpu/interpolate.h"
#include "cpu/narrow.h"
#include "cpu/pad.h"
#include "cpu/transpose.h"
#include "cpu/upload.h"

// Operations that only move elements: exact against index arithmetic.
namespace testing {

namespace {

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

Tensor randomOf(Random& random, const Shape& shape, DType dtype) {
  return make(shape, dtype, normals(random, shape.size()));
}

// Whether y[i] = x[source(i)] for every i, bit for bit.
template <class Source>
bool moved(const Tensor& x, const Tensor& y, const Source& source) {
  const std::vector<uint32_t> from = bits(x), to = bits(y);
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] != from[static_cast<size_t>(source(static_cast<int64_t>(i)))]) return false;
  }
  return true;
}

void transposes(Random& random) {
  for (int round = 0; round < 120; ++round) {
    const Shape shape = round ? randomShape(random, round < 100 ? 5000 : 100000) : Shape{};
    const Tensor x = randomOf(random, shape, kTypes[round % 3]);
    core::TransposeOp op{x, {}, {}};
    int64_t dims[core::kMaxRank];
    for (int i = 0; i < shape.rank(); ++i) op.permutation[static_cast<size_t>(i)] = i;
    std::shuffle(op.permutation.begin(), op.permutation.begin() + shape.rank(), random);
    for (int i = 0; i < shape.rank(); ++i) dims[i] = shape[op.permutation[static_cast<size_t>(i)]];
    const Shape result(dims, shape.rank());
    op.y = empty(result, x.dtype);
    cpu::transpose(op, *pools()[static_cast<size_t>(round) % 3]);
    const auto xStrides = shape.strides(), yStrides = result.strides();
    check(moved(x, op.y,
                [&](int64_t i) {
                  int64_t at = 0;
                  for (int axis = 0; axis < result.rank(); ++axis) {
                    const size_t a = static_cast<size_t>(axis);
                    at += i / yStrides[a] % result[axis] * xStrides[static_cast<size_t>(op.permutation[a])];
                  }
                  return at;
                }),
          "transpose " + shape.str() + " to " + result.str());
  }
}

void pads(Random& random) {
  using core::PadMode;
  for (int round = 0; round < 80; ++round) {
    const PadMode mode = static_cast<PadMode>(round % 4);
    const int64_t rows = between(random, 1, 30), length = between(random, 2, round < 60 ? 40 : 5000);
    const int64_t most = mode == PadMode::kReflect ? length - 1 : mode == PadMode::kCircular ? length : 3 * length;
    const int64_t left = between(random, 0, most), right = between(random, 0, most);
    const Tensor x = randomOf(random, {rows, length}, kTypes[round % 3]), y = empty({rows, left + length + right}, x.dtype);
    cpu::pad({x, y, left, right, mode}, *pools()[static_cast<size_t>(round) % 3]);
    const std::vector<uint32_t> from = bits(x), to = bits(y);
    bool right_ = true;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = -left; i < length + right; ++i) {
        int64_t at = i;
        if (mode == PadMode::kReplicate) at = i < 0 ? 0 : i >= length ? length - 1 : i;
        if (mode == PadMode::kCircular) at = i < 0 ? i + length : i >= length ? i - length : i;
        if (mode == PadMode::kReflect) at = i < 0 ? -i : i >= length ? 2 * length - 2 - i : i;
        const bool zero = mode == PadMode::kZeros && (i < 0 || i >= length);
        const uint32_t want = zero ? 0 : from[static_cast<size_t>(row * length + at)];
        right_ = right_ && to[static_cast<size_t>(row * y.shape[1] + left + i)] == want;
      }
    }
    check(right_, "pad mode " + std::to_string(round % 4) + " of " + x.shape.str() + " to " + y.shape.str());
  }
}

void rangesAndJoins(Random& random) {
  for (int round = 0; round < 60; ++round) {
    const Shape shape = randomShape(random, round < 50 ? 5000 : 200000);
    const DType dtype = kTypes[round % 3];
    const int axis = static_cast<int>(between(random, 0, shape.rank() - 1));
    const size_t a = static_cast<size_t>(axis);
    cpu::Pool& pool = *pools()[static_cast<size_t>(round) % 3];
    const Tensor x = randomOf(random, shape, dtype);
    // Cut into up to three ranges, then join them again.
    core::ConcatOp join;
    join.axis = axis;
    for (int64_t start = 0; start < shape[axis];) {
      const int64_t length = join.parts.size() == 2 ? shape[axis] - start : between(random, 1, shape[axis] - start);
      const Tensor part = empty(shape.with(axis, length), dtype);
      cpu::narrow({x, part, axis, start}, pool);
      const auto strides = part.shape.strides(), xStrides = shape.strides();
      check(moved(x, part,
                  [&](int64_t i) {
                    const int64_t outer = i / (strides[a] * length);
                    return outer * xStrides[a] * shape[axis] + i % (strides[a] * length) + start * xStrides[a];
                  }),
            "narrow " + shape.str() + " to " + part.shape.str());
      join.parts.push_back(part);
      start += length;
    }
    join.y = empty(shape, dtype);
    cpu::concat(join, pool);
    check(bits(join.y) == bits(x), "cat gives back " + shape.str());
  }
}

void others(Random& random) {
  for (int round = 0; round < 30; ++round) {
    const DType dtype = kTypes[round % 3];
    cpu::Pool& pool = *pools()[static_cast<size_t>(round) % 3];
    const int64_t rows = between(random, 1, 20), length = between(random, 1, round < 25 ? 50 : 20000), factor = between(random, 1, 9);
    const Tensor x = randomOf(random, {rows, length}, dtype), y = empty({rows, length * factor}, dtype);
    cpu::interpolate({x, y, factor}, pool);
    check(moved(x, y, [&](int64_t i) { return i / factor; }), "interpolate by " + std::to_string(factor));

    const Tensor filled = empty({length}, dtype);
    cpu::fill({filled, 0.1f}, pool);
    const uint32_t want = bits(make({1}, dtype, {0.1f}))[0];
    const std::vector<uint32_t> got = bits(filled);
    check(std::all_of(got.begin(), got.end(), [&](uint32_t b) { return b == want; }), "fill");

    const auto data = core::hostBytes(x.bytes());
    std::memcpy(data.get(), cpu::dataOf<std::byte>(x), x.bytes());
    const Tensor uploaded = empty(x.shape, dtype);
    cpu::upload({uploaded, data}, pool);
    check(bits(uploaded) == bits(x), "upload");

    for (const DType to : kTypes) {
      const Tensor other = empty(x.shape, to);
      cpu::cast({x, other}, pool);
      check(bits(other) == bits(make(x.shape, to, floats(x))), std::string("cast ") + name(dtype) + " to " + name(to));
    }
  }
}

}  // namespace

void testMoves() {
  Random random(31);
  transposes(random);
  pads(random);
  rangesAndJoins(random);
  others(random);
}

}  // namespace testing
