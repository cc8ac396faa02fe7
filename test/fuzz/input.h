#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/prepare.h"

// What the fuzz targets share: numbers and tensors made of the fuzzer's bytes. One thread.
namespace fuzz {

using namespace weightnorm;
using core::DType;
using core::Shape;
using core::Tensor;

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "BROKEN PROMISE: %s\n", what);
  std::abort();
}
inline void require(bool holds, const std::string& what) {
  require(holds, what.c_str());
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data, size) {}

  FuzzedDataProvider& raw() { return data_; }
  bool flag() { return data_.ConsumeBool(); }
  int64_t within(int64_t least, int64_t most) { return data_.ConsumeIntegralInRange<int64_t>(least, most); }
  // Mostly small, else near a power of two or any number at all: where checks and products of numbers go wrong.
  int64_t number() {
    const int64_t kind = within(0, 15);
    if (kind < 12) return within(-2, 20);
    if (kind < 14) return (int64_t{1} << within(0, 62)) + within(-2, 2);
    return kind == 14 ? within(INT64_MIN, INT64_MAX) : within(0, 4096);
  }
  DType dtype() { return static_cast<DType>(within(0, 2)); }
  // A dimension: `small` keeps tensors within what can be computed here.
  int64_t dim(bool small) { return small ? within(1, within(0, 7) == 0 ? 70 : 6) : std::max<int64_t>(1, number()); }
  Shape shape(bool small, int least, int most) {
    int64_t dims[core::kMaxRank];
    const int rank = static_cast<int>(within(least, most));
    for (int i = 0; i < rank; ++i) dims[i] = dim(small);
    return Shape(dims, rank);
  }
  std::optional<double> eps() {
    if (flag()) return std::nullopt;
    return flag() ? data_.ConsumeFloatingPoint<double>() : static_cast<double>(within(0, 3)) * 0.25;
  }

 private:
  FuzzedDataProvider data_;
};

}  // namespace fuzz
