#pragma once

#include <algorithm>
#include <cmath>

namespace testing {

// The larger of both; infinity for NaN, which std::max would hide.
inline double worse(double worst, double value) {
  return std::isnan(value) ? INFINITY : std::max(worst, value);
}

}  // namespace testing
