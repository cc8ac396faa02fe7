#pragma once

#include <array>
#include <vector>

#include "core/shape.h"

namespace weightnorm::cpu {

// How the elements of a nest are shared out: a grid of tasks of 2^14 to 2^17 elements that depends on the shape alone, so
// that sums come out the same for any number of threads. Long whole rows, each summed by itself, are shared out evenly among
// `threads`, down to 2^12 elements.
// Outermost, one kept axis may be cut into slices; inside a slice, one kept axis is cut into blocks of whole kept
// indices and one reduced axis into blocks whose partial sums are added in order.
class NestPlan {
 public:
  NestPlan(const core::Shape& shape, uint32_t reduce, int threads = 1);

  struct Range {
    int64_t begin, end;
  };
  // One cell of the grid: a range of every axis, and the kept indices it covers, which are contiguous.
  struct Task {
    std::array<Range, core::kMaxRank + 1> ranges;
    int64_t keptBegin, keptCount;
    int64_t reducedBlock;
  };

  int count() const { return static_cast<int>(axes_.size()); }
  const core::Nest::Axis& axis(int i) const { return axes_[static_cast<size_t>(i)]; }
  int64_t kept() const { return kept_; }
  int64_t reduced() const { return reduced_; }
  // Above 1, partial sums of several tasks belong to one kept index.
  int64_t reducedBlocks() const { return reducedBlocks_; }
  int64_t tasks() const { return slices_ * keptBlocks_ * reducedBlocks_; }
  // Whether each task is whole rows one after the other, each with its own kept index.
  bool wholeRows() const { return count() == 2 && axis(1).reduced && reducedBlocks_ == 1; }
  // The most kept indices of one task.
  int64_t keptPerTask() const { return keptBlock_ * keptInside_; }
  Task task(int64_t index) const;
  // Calls visit(piece, ahead) for pieces of a task that each hold about `elements` elements of whole kept indices, if its
  // kept axis is outermost, or for the task itself; `ahead` elements lie between one piece and the next.
  template <class Visit>
  void eachPiece(const Task& task, int64_t elements, const Visit& visit) const {
    const int64_t unit = reduced_ * keptInside_;
    const Range whole = task.ranges[0];
    if (keptSplit_ != 0 || reducedBlocks_ > 1) return visit(task, int64_t{0});
    const int64_t step = elements > unit ? elements / unit : 1;
    Task piece = task;
    for (int64_t begin = whole.begin; begin < whole.end; begin += step) {
      const int64_t end = begin + step < whole.end ? begin + step : whole.end;
      piece.ranges[0] = {begin, end};
      piece.keptBegin = task.keptBegin + (begin - whole.begin) * keptInside_;
      piece.keptCount = (end - begin) * keptInside_;
      visit(piece, step * unit);
    }
  }

 private:
  void shareRows(int threads);

  std::vector<core::Nest::Axis> axes_;  // at least one kept and one reduced, alternating, outermost first
  int64_t kept_, reduced_;
  int keptSplit_ = 0, reducedSplit_ = 0;
  int64_t slices_ = 1;
  int64_t keptInside_ = 1;  // kept indices under one index of the kept axis that is cut
  int64_t keptBlock_ = 1, reducedBlock_ = 1;
  int64_t keptBlocks_ = 1, reducedBlocks_ = 1;
};

}  // namespace weightnorm::cpu
