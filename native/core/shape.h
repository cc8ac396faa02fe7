#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/dtype.h"

namespace weightnorm::core {

constexpr int kMaxRank = 8;

// Dimensions of a contiguous row-major tensor, rank 0 to 8; every dimension is at least 1.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  // Throws ERR_SHAPE for rank > 8, a dimension < 1, or a size past 2^53 elements.
  Shape(const int64_t* dims, int rank);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t size() const { return size_; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const;

  // Row-major strides in elements.
  std::array<int64_t, kMaxRank> strides() const;
  // A copy with one dimension replaced or, for the mask form, every masked axis set to 1.
  Shape with(int axis, int64_t dim) const;
  Shape reduced(uint32_t mask) const;
  // "[2, 3, 4]"
  std::string str() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
  int64_t size_ = 1;
};

// A kept / reduced split of a shape with size-1 axes dropped and neighbours of one kind merged.
// Element (k, r) of the flattened nest: kept index k and reduced index r are both row-major.
struct Nest {
  struct Axis {
    int64_t size;
    int64_t stride;  // in elements of the full tensor
    bool reduced;
  };
  enum class Form {
    kRows,     // [kept, reduced]: each norm reads one contiguous row (also everything kept or everything reduced)
    kColumns,  // [reduced, kept]: each norm reads one column
    kGeneral,  // anything else
  };

  // `mask` bit i set: axis i is reduced.
  Nest(const Shape& shape, uint32_t mask);

  Form form;
  int64_t kept = 1;     // number of norms
  int64_t reduced = 1;  // elements under one norm
  int count = 0;
  std::array<Axis, kMaxRank> axes{};  // outermost first
};

}  // namespace weightnorm::core
