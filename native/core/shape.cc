#include "core/shape.h"

#include <algorithm>

#include "core/error.h"

namespace weightnorm::core {

namespace {
constexpr int64_t kMaxElements = int64_t{1} << 53;
}

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(dims.begin(), static_cast<int>(dims.size())) {}

Shape::Shape(const int64_t* dims, int rank) : rank_(rank) {
  if (rank > kMaxRank) throw Error(Code::kShape, format("shape has rank %d; ranks 0 to %d are allowed", rank, kMaxRank));
  std::copy(dims, dims + rank, dims_.begin());
  for (int i = 0; i < rank; ++i) {
    if (dims[i] < 1) {
      throw Error(Code::kShape, format("shape %s has no elements: dimension %d is %lld, every dimension must be at least 1", str().c_str(),
                                       i, static_cast<long long>(dims[i])));
    }
    if (dims[i] > kMaxElements / size_) {
      throw Error(Code::kMemory, format("shape %s has more than 2^53 elements", str().c_str()));
    }
    size_ *= dims[i];
  }
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::array<int64_t, kMaxRank> Shape::strides() const {
  std::array<int64_t, kMaxRank> strides{};
  int64_t step = 1;
  for (int i = rank_ - 1; i >= 0; --i) {
    strides[static_cast<size_t>(i)] = step;
    step *= dims_[static_cast<size_t>(i)];
  }
  return strides;
}

Shape Shape::with(int axis, int64_t dim) const {
  std::array<int64_t, kMaxRank> dims = dims_;
  dims[static_cast<size_t>(axis)] = dim;
  return Shape(dims.data(), rank_);
}

Shape Shape::reduced(uint32_t mask) const {
  std::array<int64_t, kMaxRank> dims = dims_;
  for (int i = 0; i < rank_; ++i) {
    if (mask >> i & 1) dims[static_cast<size_t>(i)] = 1;
  }
  return Shape(dims.data(), rank_);
}

std::string Shape::str() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i) text += ", ";
    text += std::to_string(dims_[static_cast<size_t>(i)]);
  }
  return text + "]";
}

Nest::Nest(const Shape& shape, uint32_t mask) {
  const auto strides = shape.strides();
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 1) continue;
    const bool isReduced = mask >> i & 1;
    (isReduced ? reduced : kept) *= shape[i];
    Axis* last = count ? &axes[static_cast<size_t>(count - 1)] : nullptr;
    if (last && last->reduced == isReduced) {
      last->size *= shape[i];
      last->stride = strides[static_cast<size_t>(i)];
    } else {
      axes[static_cast<size_t>(count++)] = {shape[i], strides[static_cast<size_t>(i)], isReduced};
    }
  }
  if (count <= 1 || (count == 2 && axes[1].reduced)) {
    form = Form::kRows;
  } else if (count == 2) {
    form = Form::kColumns;
  } else {
    form = Form::kGeneral;
  }
}

}  // namespace weightnorm::core
