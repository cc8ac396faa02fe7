#include "cpu/nest_plan.h"

#include <algorithm>

#include "cpu/chunks.h"

namespace weightnorm::cpu {

namespace {

// Elements of one task at most, so that what it read stays in a second-level cache until it writes; and at least.
constexpr int64_t kMostElements = int64_t{1} << 17;
constexpr int64_t kLeastElements = int64_t{1} << 14;
// The same of whole rows that would otherwise leave threads idle, and of a row that is summed by itself.
constexpr int64_t kLeastPart = int64_t{1} << 12;
constexpr int64_t kLongRow = 64;
// Neighbouring elements of a row that a task reads at least, if it reads whole columns, and columns if it reads parts.
constexpr int64_t kLeastRun = 1024;
constexpr int64_t kManyColumns = 2048;
// Values behind each partial sum at least, so that the sums are little traffic.
constexpr int64_t kLeastDepth = 64;

}  // namespace

NestPlan::NestPlan(const core::Shape& shape, uint32_t reduce, int threads) {
  const core::Nest nest(shape, reduce);
  kept_ = nest.kept;
  reduced_ = nest.reduced;
  axes_.assign(nest.axes.begin(), nest.axes.begin() + nest.count);
  const auto isReduced = [](const core::Nest::Axis& axis) { return axis.reduced; };
  if (std::none_of(axes_.begin(), axes_.end(), isReduced)) axes_.insert(axes_.begin(), {1, 0, true});
  if (std::all_of(axes_.begin(), axes_.end(), isReduced)) axes_.insert(axes_.begin(), {1, 0, false});

  const int64_t wanted = std::clamp(kept_ * reduced_ / 128, kLeastElements, kMostElements);
  while (axis(keptSplit_).reduced) ++keptSplit_;
  for (int i = 0; i < count(); ++i) {
    if (axis(i).reduced && (!axis(reducedSplit_).reduced || axis(i).size > axis(reducedSplit_).size)) reducedSplit_ = i;
  }
  keptInside_ = kept_ / axis(keptSplit_).size;
  if (keptSplit_ == 0 && count() > 2 && reduced_ * keptInside_ > kMostElements) {
    // Each index of the outermost axis is work for several tasks.
    slices_ = axis(0).size;
    keptSplit_ = 2;
    keptInside_ /= axis(2).size;
  }
  const int64_t keptSize = axis(keptSplit_).size, reducedSize = axis(reducedSplit_).size;
  const int64_t narrowest = keptSplit_ == 0 ? 1 : std::min(keptSize, divideUp(kLeastRun, axis(keptSplit_).stride));
  if (reduced_ * keptInside_ * narrowest <= kMostElements) {
    reducedBlock_ = reducedSize;
    keptBlock_ = std::clamp(wanted / (reduced_ * keptInside_), narrowest, keptSize);
  } else {
    const int64_t reducedInside = reduced_ / reducedSize;
    keptBlock_ = keptSplit_ == 0 ? 1 : std::clamp(kManyColumns / keptInside_, int64_t{1}, keptSize);
    const int64_t depth = std::min(reducedSize, divideUp(kLeastDepth, reducedInside));
    reducedBlock_ = std::clamp(wanted / (keptBlock_ * keptInside_ * reducedInside), depth, reducedSize);
  }
  keptBlocks_ = divideUp(keptSize, keptBlock_);
  reducedBlocks_ = divideUp(reducedSize, reducedBlock_);
  if (wholeRows() && reduced_ >= kLongRow) shareRows(threads);
}

void NestPlan::shareRows(int threads) {
  const int64_t rounds = divideUp(keptBlocks_, threads);
  if (rounds >= kManyTasks || keptBlocks_ % threads == 0) return;
  const int64_t even = divideUp(kept_, rounds * threads);
  if (even * reduced_ < kLeastPart) return;
  keptBlock_ = even;
  keptBlocks_ = divideUp(kept_, even);
}

NestPlan::Task NestPlan::task(int64_t index) const {
  Task task;
  for (int i = 0; i < count(); ++i) task.ranges[static_cast<size_t>(i)] = {0, axis(i).size};
  // Neighbouring tasks share kept indices, then lie side by side.
  task.reducedBlock = index % reducedBlocks_;
  index /= reducedBlocks_;
  const int64_t keptBlock = index % keptBlocks_;
  const int64_t slice = index / keptBlocks_;
  const auto cut = [&](int split, int64_t block, int64_t size) {
    Range& range = task.ranges[static_cast<size_t>(split)];
    range = {block * size, std::min((block + 1) * size, axis(split).size)};
    return range;
  };
  cut(reducedSplit_, task.reducedBlock, reducedBlock_);
  const Range keptRange = cut(keptSplit_, keptBlock, keptBlock_);
  if (slices_ > 1) task.ranges[0] = {slice, slice + 1};
  task.keptBegin = slice * (kept_ / slices_) + keptRange.begin * keptInside_;
  task.keptCount = (keptRange.end - keptRange.begin) * keptInside_;
  return task;
}

}  // namespace weightnorm::cpu
