#include <algorithm>
#include <numeric>
#include <random>

#include "harness.h"

namespace metaltest {

namespace {

// The multi-index of row-major element `i`.
std::vector<int64_t> indexOf(const Shape& shape, int64_t i) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<size_t>(axis)] = i % shape[axis];
    i /= shape[axis];
  }
  return index;
}

int64_t flatOf(const Shape& shape, const std::vector<int64_t>& index) {
  int64_t flat = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) flat = flat * shape[axis] + index[static_cast<size_t>(axis)];
  return flat;
}

void transpose(Session& session, const Shape& shape, const std::vector<int>& permutation, DType dtype) {
  const std::vector<float> x = rounded(noise(shape.size(), 11), dtype);
  core::TransposeOp op;
  op.x = session.upload(x, shape, dtype);
  std::copy(permutation.begin(), permutation.end(), op.permutation.begin());
  everyPath([&](const std::string& path) {
    const Tensor y = session.run(op);
    std::vector<float> want;
    for (int64_t i = 0; i < y.size(); ++i) {
      const std::vector<int64_t> at = indexOf(y.shape, i);
      std::vector<int64_t> from(at.size());
      for (size_t axis = 0; axis < at.size(); ++axis) from[static_cast<size_t>(permutation[axis])] = at[axis];
      want.push_back(x[static_cast<size_t>(flatOf(shape, from))]);
    }
    same("transpose " + shape.str() + " to " + y.shape.str() + path, session.read(y), want);
  });
}

void transposes(Session& session) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    transpose(session, {33, 65}, {1, 0}, dtype);
    transpose(session, {2, 33, 34}, {0, 2, 1}, dtype);
    transpose(session, {2, 3, 40}, {1, 0, 2}, dtype);
    transpose(session, {50, 3, 5}, {0, 2, 1}, dtype);
    transpose(session, {70000, 1, 2}, {2, 1, 0}, dtype);
    transpose(session, {5, 7, 3}, {2, 0, 1}, dtype);
    transpose(session, {4, 5, 6}, {0, 1, 2}, dtype);
    transpose(session, {1, 5, 1}, {2, 1, 0}, dtype);
    transpose(session, {1, 1}, {1, 0}, dtype);
    transpose(session, {7}, {0}, dtype);
  }
  std::mt19937 random(12);
  for (int round = 0; round < 12; ++round) {
    const int rank = 2 + static_cast<int>(random() % 7);
    int64_t dims[core::kMaxRank];
    std::vector<int> permutation(static_cast<size_t>(rank));
    std::iota(permutation.begin(), permutation.end(), 0);
    std::shuffle(permutation.begin(), permutation.end(), random);
    for (int i = 0; i < rank; ++i) dims[i] = 1 + static_cast<int64_t>(random() % 4);
    transpose(session, Shape(dims, rank), permutation, DType::kFloat16);
  }
}

void pads(Session& session) {
  struct Case {
    Shape shape;
    int64_t left, right;
    core::PadMode mode;
  };
  const Case cases[] = {{{3, 10}, 4, 2, core::PadMode::kZeros},     {{2, 2, 7}, 6, 6, core::PadMode::kReflect},
                        {{5, 3}, 10, 9, core::PadMode::kReplicate}, {{2, 4}, 4, 4, core::PadMode::kCircular},
                        {{1, 1}, 3, 3, core::PadMode::kReplicate},  {{6}, 0, 5, core::PadMode::kReflect},
                        {{2, 300}, 1, 0, core::PadMode::kCircular}, {{2, 3}, 0, 0, core::PadMode::kZeros}};
  for (const DType dtype : kDTypes) {
    for (const Case& c : cases) {
      const std::vector<float> x = rounded(noise(c.shape.size(), 13), dtype);
      core::PadOp op;
      op.x = session.upload(x, c.shape, dtype);
      op.left = c.left, op.right = c.right, op.mode = c.mode;
      const int64_t length = c.shape[c.shape.rank() - 1], padded = length + c.left + c.right;
      std::vector<float> want;
      for (int64_t row = 0; row < c.shape.size() / length; ++row) {
        for (int64_t i = 0; i < padded; ++i) {
          int64_t from = i - c.left;
          const bool inside = from >= 0 && from < length;
          if (c.mode == core::PadMode::kReflect) from = from < 0 ? -from : from >= length ? 2 * length - 2 - from : from;
          if (c.mode == core::PadMode::kReplicate) from = std::clamp<int64_t>(from, 0, length - 1);
          if (c.mode == core::PadMode::kCircular) from = (from + length) % length;
          want.push_back(!inside && c.mode == core::PadMode::kZeros ? 0.0f : x[static_cast<size_t>(row * length + from)]);
        }
      }
      everyPath([&](const std::string& path) { same("pad " + c.shape.str() + path, session.read(session.run(op)), want); });
    }
  }
}

void narrows(Session& session) {
  struct Case {
    Shape shape;
    int axis;
    int64_t start, length;
  };
  const Case cases[] = {{{4, 6, 8}, 2, 4, 4}, {{4, 6, 8}, 2, 3, 5}, {{4, 6, 8}, 1, 2, 3}, {{4, 6, 8}, 0, 1, 2}, {{3, 5}, 1, 2, 1},
                        {{100}, 0, 7, 90},    {{2, 5, 3}, 1, 1, 3}, {{2, 64}, 1, 32, 32}, {{5, 17}, 1, 0, 4}};
  for (const DType dtype : kDTypes) {
    for (const Case& c : cases) {
      const std::vector<float> x = rounded(noise(c.shape.size(), 14), dtype);
      core::NarrowOp op;
      op.x = session.upload(x, c.shape, dtype);
      op.axis = c.axis, op.start = c.start;
      core::prepare(op, c.length);
      std::vector<float> want;
      for (int64_t i = 0; i < op.y.size(); ++i) {
        std::vector<int64_t> at = indexOf(op.y.shape, i);
        at[static_cast<size_t>(c.axis)] += c.start;
        want.push_back(x[static_cast<size_t>(flatOf(c.shape, at))]);
      }
      everyPath([&](const std::string& path) {
        core::NarrowOp again = op;
        core::prepare(again, c.length);
        session.queue().submit(again);
        same("narrow " + c.shape.str() + path, session.read(again.y), want);
      });
    }
  }
}

void concats(Session& session) {
  const std::pair<int, std::vector<Shape>> cases[] = {{0, {{2, 3}, {1, 3}, {4, 3}}},
                                                      {1, {{2, 3}, {2, 1}, {2, 4}}},
                                                      {1, {{2, 4, 4}, {2, 8, 4}}},
                                                      {2, {{2, 2, 16}, {2, 2, 16}, {2, 2, 32}}},
                                                      {0, {{5}}}};
  for (const DType dtype : kDTypes) {
    for (const auto& [axis, shapes] : cases) {
      core::ConcatOp op;
      op.axis = axis;
      std::vector<std::vector<float>> parts;
      for (const Shape& shape : shapes) {
        parts.push_back(rounded(noise(shape.size(), 15 + static_cast<uint32_t>(parts.size())), dtype));
        op.parts.push_back(session.upload(parts.back(), shape, dtype));
      }
      everyPath([&](const std::string& path) {
        const Tensor y = session.run(op);
        std::vector<float> want;
        for (int64_t i = 0; i < y.size(); ++i) {
          std::vector<int64_t> at = indexOf(y.shape, i);
          size_t part = 0;
          while (at[static_cast<size_t>(axis)] >= shapes[part][axis]) at[static_cast<size_t>(axis)] -= shapes[part++][axis];
          want.push_back(parts[part][static_cast<size_t>(flatOf(shapes[part], at))]);
        }
        same("cat along " + std::to_string(axis) + " to " + y.shape.str() + path, session.read(y), want);
      });
    }
  }
}

void interpolates(Session& session) {
  for (const DType dtype : kDTypes) {
    for (const int64_t factor : {1, 2, 3, 16}) {
      const Shape shape{2, 3, 5};
      const std::vector<float> x = rounded(noise(shape.size(), 20), dtype);
      core::InterpolateOp op;
      op.x = session.upload(x, shape, dtype);
      op.factor = factor;
      std::vector<float> want;
      for (const float v : x) want.insert(want.end(), static_cast<size_t>(factor), v);
      everyPath([&](const std::string& path) { same("interpolate" + path, session.read(session.run(op)), want); });
    }
  }
}

}  // namespace

void layout() {
  Session session;
  transposes(session);
  pads(session);
  narrows(session);
  concats(session);
  interpolates(session);
}

}  // namespace metaltest
